// Joins the zygote (src/zygote/) and the interpreter: forks with CPython's hooks, hands workers to a Python
// function.
#pragma once

#include "python.h"

namespace sterna::python {

// `_sterna.run_zygote(control_fd, runtime, binds, rehearse, serve) -> exit code`. `binds` are paths that the
// sandbox needs besides /usr. In every fork: `rehearse()` runs ahead, before the function is known;
// `serve(socket_fd, claim_fd, output_fd, orders_fd)` runs in the sandbox and does not return; the last one is
// -1 unless the worker may pause.
PyObject* run_zygote(PyObject* module, PyObject* args);

// `_sterna.fork_replica(orders_fd) -> (socket_fd, claim_fd, output_fd) | None`: carries out one order to fork
// (zygote/parent.h); None in the paused worker. ConnectionError: no order will come any more.
PyObject* fork_replica(PyObject* module, PyObject* args);

}  // namespace sterna::python
