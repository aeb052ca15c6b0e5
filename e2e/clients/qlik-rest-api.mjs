// Usage: node qlik-rest-api.mjs ADDRESS CERTIFICATES
import fs from "node:fs";
import https from "node:https";
import { QlikGenericRestClient, QlikProxyClient, QlikRepositoryClient } from "qlik-rest-api";

const [, , host, certificates] = process.argv;
const config = (port) => ({
  host,
  port,
  httpsAgent: new https.Agent({
    ca: fs.readFileSync(`${certificates}/root.pem`),
    cert: fs.readFileSync(`${certificates}/client.pem`),
    key: fs.readFileSync(`${certificates}/client_key.pem`),
    servername: "qlik-central", // the name in the certificate of the node
  }),
  authentication: { user_dir: "INTERNAL", user_name: "sa_api" },
});

const repository = new QlikRepositoryClient(config(4242));
const apps = await repository.Get("app?filter=(name sw 'operations')");
const wrong = await repository.Get("app?filter=(nosuch eq 'x')").catch((error) => error);

const proxy = new QlikProxyClient(config(4243));
const sessions = await proxy.Get("session");
const ended = sessions.data[0].SessionId;
const { status: endedStatus } = await proxy.Delete(`session/${ended}`);
const again = await proxy.Delete(`session/${ended}`).catch((error) => error);
const left = await proxy.Get("session");
const added = await proxy.Post("api/session", {
  userDirectory: "ACME",
  userId: "added.by.rest",
  sessionId: "chosen-by-qlik-rest-api",
  attributes: [{ group: "Test" }],
});
const ofUser = await proxy.Get("api/user/acme/ADDED.BY.REST");

const engine = new QlikGenericRestClient(config(4747));
const health = await engine.Get("engine/healthcheck");

console.log(
  JSON.stringify({
    apps: apps.data.map((a) => a.name),
    wrong: wrong.message,
    sessions: sessions.data.length,
    ended,
    endedStatus,
    again: again.message,
    left: left.data.map((s) => s.SessionId),
    added: added.data,
    addedStatus: added.status,
    ofUser: ofUser.data.map((s) => s.SessionId),
    engineVersion: health.data.version,
    engineSessions: health.data.session.total,
  }),
);
