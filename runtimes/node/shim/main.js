// Starts a worker:
//   node main.js adopt               as the spare of a zygote (src/zygote/CONTROL.md)
//   node main.js serve SOCKET CLAIM  on descriptors that the caller passes on; no sandbox
"use strict";

const { adopt, Connection } = require("../sterna.node");
const boot = require("./boot");
const rehearsal = require("./rehearsal");

function serveOn(socket, claim) {
  boot.run(new Connection(socket, claim));
}

async function main([command, ...descriptors]) {
  if (command === "serve") {
    const [socket, claim] = descriptors.map(Number);
    serveOn(socket, claim);
    return;
  }
  await rehearsal.run();
  const given = adopt(); // waits here until there is a function to serve
  if (given === null) process.exit(0);
  serveOn(given.socket, given.claim);
}

main(process.argv.slice(2));
