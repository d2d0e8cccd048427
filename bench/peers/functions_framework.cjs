// @google-cloud/functions-framework with one function. Its own program listens on every interface, so its
// server is taken from its testing module and bound to loopback. Usage: functions_framework.cjs PORT
const functions = require("@google-cloud/functions-framework");
const { getTestServer } = require("@google-cloud/functions-framework/testing");

functions.http("echo", (request, response) => {
  response.type("application/octet-stream").send(request.rawBody);
});
const server = getTestServer("echo");
server.keepAliveTimeout = 600_000;
server.setTimeout(0);
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 1024 });
