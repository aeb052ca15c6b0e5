// Usage: node qlik-auth.cjs ADDRESS CERTIFICATES
const qlikAuth = require("qlik-auth");

const [, , host, certificates] = process.argv;
const options = () => ({
  Certificate: `${certificates}/client.pem`,
  CertificateKey: `${certificates}/client_key.pem`,
  ProxyRestUri: `https://${host}:4243/qps/api`,
  TargetId: "target",
});
const profile = () => ({
  UserDirectory: "ACME",
  UserId: "added.by.auth",
  Attributes: [{ Group: "ExampleGroup" }],
  SessionId: "chosen-by-qlik-auth",
});

// answer returns what a function of the module writes to the browser.
const answer = (call) =>
  new Promise((resolve) => {
    let body = "";
    let head;
    call(
      { url: "/?targetId=target" },
      {
        writeHead: (status, headers) => (head = { status, ...headers }),
        write: (chunk) => (body += chunk),
        end: (text) => resolve(head || JSON.parse(body + (text || ""))),
      },
    );
  });

async function main() {
  const log = console.log;
  console.log = () => {}; // the module prints sessions
  const result = {
    ticket: await answer((req, res) => qlikAuth.requestTicket(req, res, profile(), options())),
    added: await answer((req, res) => qlikAuth.addSession(req, res, profile(), options())),
    listed: await answer((req, res) => qlikAuth.getSession(req, res, profile(), options())),
    ended: await answer((req, res) => qlikAuth.deleteSession(req, res, profile(), options())),
  };
  log(JSON.stringify(result));
}
main();
