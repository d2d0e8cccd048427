using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "echo", worker = .echo)],
  # The bench gives the address with --socket-addr.
  sockets = [(name = "http", http = (), service = "echo")],
);

const echo :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "workerd_echo.js")],
  compatibilityDate = "2026-01-01",
);
