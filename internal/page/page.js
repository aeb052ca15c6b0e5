// The page works without this. With it the page follows the site, filters while
// you type, and copies commands.
"use strict";

const refreshEvery = 10_000; // ms
const live = ["state", "users"]; // what is replaced
const form = document.getElementById("filter");
const pause = document.getElementById("pause");
const lost = document.getElementById("lost");

let address = location.href; // of what is shown
let loading = null; // AbortController of the request under way

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
}, refreshEvery);
document.addEventListener("visibilitychange", () => {
  if (mayRefresh()) load(address);
});

// mayRefresh is false while nobody looks, or while somebody selects text that
// would go away.
function mayRefresh() {
  const selection = getSelection();
  return !document.hidden && pause.getAttribute("aria-pressed") !== "true" &&
    (selection.isCollapsed || !document.getElementById("users")?.contains(selection.anchorNode));
}

if (form) {
  form.querySelector("button").hidden = true; // the filter works at once
  let typing = 0;
  const filter = () => {
    clearTimeout(typing);
    const wanted = new URL(location.href);
    wanted.hash = "";
    wanted.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    history.replaceState(null, "", wanted);
    load(wanted.href);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    filter();
  });
  form.addEventListener("change", filter);
  form.elements.q.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(filter, 250);
  });
}

// load shows what an address answers.
async function load(url) {
  loading?.abort();
  const mine = loading = new AbortController();
  address = url;
  try {
    const response = await fetch(url, { signal: AbortSignal.any([mine.signal, AbortSignal.timeout(30_000)]) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (mine.signal.aborted) return; // somebody wants something else by now
    if (!page.getElementById("state")) throw new Error("something else than this page");
    show(page);
    lost.hidden = true;
  } catch (err) {
    if (mine.signal.aborted) return;
    if (lost.hidden) {
      lost.textContent = `The exporter does not answer (${err.message}) since ${clock(new Date())}. What is shown is older.`;
      lost.hidden = false;
    }
  } finally {
    if (loading === mine) loading = null;
  }
}

// show replaces what is shown, and keeps focus and open commands.
function show(page) {
  if (Boolean(page.getElementById("users")) !== Boolean(form)) {
    location.reload(); // the site went away or came back, and the filter with it
    return;
  }
  const focused = document.activeElement?.dataset?.key;
  const opened = document.querySelector("details[open]")?.dataset.key;
  for (const id of live) {
    const now = page.getElementById(id);
    if (now) document.getElementById(id).replaceWith(document.adoptNode(now));
  }
  document.title = page.title;
  prepare();
  if (opened) byKey(opened)?.setAttribute("open", "");
  if (focused && document.activeElement === document.body) byKey(focused)?.focus({ preventScroll: true });
  const summary = document.getElementById("state").dataset.summary;
  const announce = document.getElementById("announce");
  if (announce.textContent !== summary) announce.textContent = summary;
}

function byKey(key) {
  return [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
}

// prepare does to what the server sent what only a script can do.
function prepare() {
  for (const button of document.querySelectorAll(".copy")) button.hidden = false;
  for (const time of document.querySelectorAll("time")) time.textContent = clock(new Date(time.dateTime));
}

// clock is a time where the reader is.
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
