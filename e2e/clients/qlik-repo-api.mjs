// Usage: node qlik-repo-api.mjs ADDRESS CERTIFICATES
import fs from "node:fs";
import https from "node:https";
import { QlikRepoApi } from "qlik-repo-api";

const [, , host, certificates] = process.argv;
const config = {
  host,
  port: 4242,
  httpsAgent: new https.Agent({
    rejectUnauthorized: false,
    cert: fs.readFileSync(`${certificates}/client.pem`),
    key: fs.readFileSync(`${certificates}/client_key.pem`),
  }),
  authentication: { user_dir: "INTERNAL", user_name: "sa_api" },
};
const repository = new QlikRepoApi.client(config);

const filter = "userDirectory eq 'PARTNER' and (name sw 'I' or userId so 'YUSUF') and removedExternally eq false";
const users = await repository.users.getFilter({ filter });
const user = await repository.users.get({ id: users[0].details.id });
const engines = await repository.serviceStatus.getFilter({ filter: "serviceType eq Engine and serviceState eq Running" });
const reloads = await repository.tasks.getFilter({ filter: "app.stream.name eq 'Monitoring apps'" });
const table = await repository.table.create({
  type: "user",
  columns: [{ name: "id", columnType: "Property", definition: "userId" }],
  sortColumn: "id",
  orderAscending: true,
  take: 3,
});

// The same client without a prefix, for a proxy.
const proxy = new QlikRepoApi.client({ ...config, port: 4243 }).genericClient;
const sessions = await proxy.Get("qps/session");
const ended = sessions.data[0].SessionId;
const { status: endedStatus } = await proxy.Delete(`qps/session/${ended}`);

console.log(
  JSON.stringify({
    version: (await repository.about.get()).buildVersion,
    filter,
    users: users.map((u) => u.details.userId),
    user: user.details.userId,
    nodes: (await repository.nodes.getAll()).map((n) => n.details.hostName),
    nodeCount: (await repository.nodes.count()).value,
    central: (await repository.nodes.getFilter({ filter: "isCentral eq true" })).map((n) => n.details.name),
    virtualProxies: (await repository.virtualProxies.getAll()).map((v) => v.details.prefix),
    saml: (await repository.virtualProxies.getFilter({ filter: "authenticationMethod eq SAML" })).map((v) => v.details.prefix),
    proxyPorts: (await repository.proxies.getAll()).map((p) => p.details.settings.restListenPort),
    enginePorts: (await repository.engines.getAll()).map((e) => e.details.settings.listenerPorts[0]),
    engineHealths: (await repository.engineHealths.getAll()).length,
    engines: engines.length,
    serviceCount: (await repository.serviceStatus.count()).value,
    license: (await repository.license.get()).serial,
    tokens: (await repository.license.accessTypeInfoGet()).totalTokens,
    reloads: reloads.map((r) => r.details.name),
    streams: (await repository.streams.getAll()).map((s) => s.details.name),
    executions: await repository.executionResults.count(),
    dataConnections: (await repository.dataConnections.getAll()).length,
    userDirectories: (await repository.userDirectories.count()).value,
    tags: (await repository.tags.getAll()).map((t) => t.details.name),
    customProperties: (await repository.customProperties.getAll()).length,
    table: table.data.rows.map((r) => r.id),
    ended,
    endedStatus,
  }),
);
