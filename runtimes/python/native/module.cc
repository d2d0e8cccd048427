// The extension module `_sterna`.
#include "answer.h"
#include "channel_type.h"
#include "event.h"
#include "python.h"
#include "worker/inbox.h"
#include "zygote_main.h"

namespace sterna::python {

using worker::Arrival;

namespace {

PyObject* configure(PyObject* /*module*/, PyObject* args) {
  PyObject* headers_class = nullptr;
  PyObject* query_class = nullptr;
  PyObject* json_encode = nullptr;
  if (PyArg_ParseTuple(args, "OOO", &headers_class, &query_class, &json_encode) == 0) return nullptr;
  set_event_classes(headers_class, query_class);
  if (!set_up_answers(json_encode)) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"configure", configure, METH_VARARGS,
     "(headers_class, query_class, json_encode): call once before serving"},
    {"run_zygote", run_zygote, METH_VARARGS, "(control_fd, runtime, binds, rehearse, serve) -> exit code"},
    {"fork_replica", fork_replica, METH_VARARGS,
     "(orders_fd) -> (socket_fd, claim_fd, output_fd) in the replica | None in the paused worker"},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "_sterna",
                          "The native part of Sterna's Python runtime.",
                          -1,
                          functions,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr};

// The kinds of what `Channel.receive` answers.
bool add_constants(PyObject* module) {
  const auto add = [module](const char* name, Arrival::Kind kind) {
    return PyModule_AddIntConstant(module, name, static_cast<long>(kind)) == 0;
  };
  return add("REQUEST", Arrival::Kind::kRequest) && add("CANCEL", Arrival::Kind::kCancel) &&
         add("CANCEL_UNSTARTED", Arrival::Kind::kCancelUnstarted) && add("WINDOW", Arrival::Kind::kWindow) &&
         add("SHUTDOWN", Arrival::Kind::kShutdown);
}

}  // namespace
}  // namespace sterna::python

PyMODINIT_FUNC PyInit__sterna() {  // NOLINT(bugprone-reserved-identifier): the import protocol's name
  using sterna::python::add_constants;
  using sterna::python::Ref;
  Ref module(PyModule_Create(&sterna::python::definition));
  if (!module || !sterna::python::add_event_type(module.get()) ||
      !sterna::python::add_channel_type(module.get())) {
    return nullptr;
  }
  return add_constants(module.get()) ? module.release() : nullptr;
}
