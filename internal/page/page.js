// The pages work without this script. The script refreshes them, filters the list while
// the user types, and copies commands.
"use strict";

const refreshEvery = 10_000; // ms
const live = ["state", "users"]; // ids of the elements that a refresh replaces
const form = document.getElementById("filter");
const pause = document.getElementById("pause");
const lost = document.getElementById("lost");

let address = location.href; // URL of the page content
let loading = null; // AbortController of the request in progress

pause.hidden = false;
pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  if (!paused) load(address);
});
document.getElementById("refresh").addEventListener("click", (event) => {
  event.preventDefault();
  load(address);
});

setInterval(() => {
  if (!loading && mayRefresh()) load(address);
  else if (document.hidden) followIcon();
}, refreshEvery);
document.addEventListener("visibilitychange", () => {
  if (mayRefresh()) load(address);
});

// mayRefresh returns false while the page is hidden or paused, or while text is
// selected that a refresh would remove.
function mayRefresh() {
  const selection = getSelection();
  return !document.hidden && pause.getAttribute("aria-pressed") !== "true" &&
    (selection.isCollapsed || !live.some((id) => document.getElementById(id)?.contains(selection.anchorNode)));
}

if (form) {
  document.getElementById("apply").hidden = true; // the script filters without it
  let typing = 0;
  const filter = () => {
    clearTimeout(typing);
    const wanted = new URL(location.href);
    wanted.hash = "";
    wanted.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    history.replaceState(null, "", wanted);
    load(wanted.href);
  };
  form.addEventListener("change", (event) => {
    if (event.target !== form.elements.q) filter();
  });
  form.elements.q.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(filter, 250);
  });
}

// load requests a URL and shows the response.
async function load(url) {
  loading?.abort();
  const mine = loading = new AbortController();
  address = url;
  try {
    const response = await fetch(url, { signal: AbortSignal.any([mine.signal, AbortSignal.timeout(30_000)]) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (mine.signal.aborted) return; // a newer request has replaced this one
    if (!page.getElementById("state")) throw new Error("the response is another page");
    show(page);
    lost.hidden = true;
  } catch (err) {
    if (mine.signal.aborted) return;
    if (lost.hidden) {
      lost.textContent = `The exporter has not responded since ${clock(new Date())} (${err.message}). The data shown is older.`;
      lost.hidden = false;
    }
  } finally {
    if (loading === mine) loading = null;
  }
}

// show replaces the content and keeps the focus and the open command.
function show(page) {
  if (Boolean(page.getElementById("users")) !== Boolean(form)) {
    location.reload(); // the filter appeared or disappeared, because session data did
    return;
  }
  const focused = document.activeElement?.dataset?.key;
  const opened = document.querySelector("details[open]")?.dataset.key;
  for (const id of live) {
    const now = page.getElementById(id);
    if (now) document.getElementById(id).replaceWith(document.adoptNode(now));
  }
  document.title = page.title;
  showIcon(page.getElementById("icon").getAttribute("href"));
  prepare();
  if (opened) byKey(opened)?.setAttribute("open", "");
  if (focused && document.activeElement === document.body) byKey(focused)?.focus({ preventScroll: true });
  const summary = document.getElementById("state").dataset.summary;
  const announce = document.getElementById("announce");
  if (announce.textContent !== summary) announce.textContent = summary;
}

// showIcon shows the icon with a URL. The number of users without a free slot is in the URL.
function showIcon(url) {
  const icon = document.getElementById("icon");
  if (icon.getAttribute("href") !== url) icon.setAttribute("href", url);
}

// followIcon updates the icon of a hidden page, which is not refreshed. This sends no
// request to Qlik.
async function followIcon() {
  try {
    const icon = document.getElementById("icon");
    const response = await fetch(new URL(icon.dataset.now, document.baseURI), { signal: AbortSignal.timeout(30_000) });
    if (response.ok) showIcon(response.url);
  } catch {
    // The page says that the exporter does not respond as soon as it is visible.
  }
}

function byKey(key) {
  return [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
}

// prepare shows the copy buttons and converts times to the local time zone. The
// server can do neither.
function prepare() {
  for (const button of document.querySelectorAll(".copy")) button.hidden = false;
  for (const time of document.querySelectorAll("time")) time.textContent = clock(new Date(time.dateTime));
}

// clock formats a time in the time zone of the browser.
function clock(time) {
  const today = time.toDateString() === new Date().toDateString();
  return time.toLocaleString("en-GB", {
    ...(today ? {} : { day: "numeric", month: "short" }),
    hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
  });
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (button) {
    await copy(button.parentElement.querySelector("code"));
    button.textContent = "Copied";
    document.getElementById("announce").textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
    return;
  }
  for (const details of document.querySelectorAll("details[open]")) {
    if (!details.contains(event.target)) details.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const details = event.key === "Escape" && document.querySelector("details[open]");
  if (!details) return;
  details.open = false;
  details.querySelector("summary").focus();
});

async function copy(code) {
  if (navigator.clipboard) return navigator.clipboard.writeText(code.textContent);
  getSelection().selectAllChildren(code); // a page without TLS has no clipboard
  document.execCommand("copy");
  getSelection().removeAllRanges();
}

prepare();
