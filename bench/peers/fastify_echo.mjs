// fastify with a parser that keeps the body as a Buffer. Usage: fastify_echo.mjs PORT
import Fastify from "fastify";

const app = Fastify({ logger: false, keepAliveTimeout: 600_000 });
app.addContentTypeParser("application/octet-stream", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
app.post("/", (request, reply) => reply.type("application/octet-stream").send(request.body));
await app.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 1024 });
