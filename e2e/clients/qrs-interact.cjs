// Usage: node qrs-interact.cjs ADDRESS CERTIFICATES
const qrsInteract = require("qrs-interact");

const [, , hostname, localCertPath] = process.argv;
const repository = new qrsInteract({ hostname, localCertPath });

async function main() {
  const get = async (path) => (await repository.Get(path)).body;
  const filter = "name sw 'monitor_apps_REST_' and username eq 'ACME\\svc_qlik_reload'";
  const licensed = await get("license/professionalaccesstype/full?filter=user.userId eq 'svc_qlik_reload'");
  const refused = await repository.Delete(`user/${licensed[0].user.id}`).catch((error) => error.message);
  return {
    version: (await get("about")).buildVersion,
    filter,
    connections: (await get(`dataconnection?filter=${filter}`)).map((c) => c.name),
    count: (await get(`dataconnection/count?filter=${filter}`)).value,
    licensed: licensed.map((l) => l.user.userId),
    rows: (await get("license/analyzeraccessusage/full")).length,
    rowsOfNode: (await get("license/analyzeraccessusage/full?filter=hostName eq 'qlik-node2'")).map((r) => r.hostName),
    refused,
  };
}
main().then((result) => console.log(JSON.stringify(result)));
