#include "zygote_main.h"

#include <string>
#include <utility>
#include <vector>

#include "zygote/parent.h"
#include "zygote/zygote.h"

namespace sterna::python {
namespace {

constexpr int kExitBroken = 70;  // EX_SOFTWARE: a bug of the runtime itself

// False: a Python error is set.
bool read_binds(PyObject* list, std::vector<sandbox::Bind>& binds) {
  const Py_ssize_t count = PyList_Size(list);
  for (Py_ssize_t at = 0; at < count; ++at) {
    const auto path = view_of(PyList_GetItem(list, at));
    if (!path) {
      PyErr_SetString(PyExc_TypeError, "binds must be str");
      return false;
    }
    binds.push_back({std::string(*path), std::string(*path)});
  }
  return count >= 0;
}

void after_fork_child(PyObject* rehearse) {
  PyOS_AfterFork_Child();
  const Ref done(PyObject_CallFunctionObjArgs(rehearse, nullptr));
  if (!done) PyErr_Print();
}

int serve_worker(PyObject* serve, const zygote::WorkerFds& fds) {
  const Ref done(PyObject_CallFunction(serve, "iiii", fds.socket, fds.claim, fds.output, fds.orders));
  PyErr_Print();
  return kExitBroken;
}

zygote::ForkHooks fork_hooks() {
  return {.before = [] { PyOS_BeforeFork(); },
          .after_parent = [] { PyOS_AfterFork_Parent(); },
          .after_replica = [] { PyOS_AfterFork_Child(); }};
}

}  // namespace

PyObject* fork_replica(PyObject* /*module*/, PyObject* args) {
  int orders = -1;
  if (PyArg_ParseTuple(args, "i", &orders) == 0) return nullptr;
  const auto replica = zygote::fork_replica(orders, fork_hooks());
  if (!replica) {
    PyErr_SetString(PyExc_ConnectionError, replica.error().detail.c_str());
    return nullptr;
  }
  if (!*replica) Py_RETURN_NONE;
  return Py_BuildValue("iii", (*replica)->socket, (*replica)->claim, (*replica)->output);
}

PyObject* run_zygote(PyObject* /*module*/, PyObject* args) {
  int control_fd = -1;
  const char* runtime = nullptr;
  PyObject* binds = nullptr;
  PyObject* rehearse = nullptr;
  PyObject* serve = nullptr;
  if (PyArg_ParseTuple(args, "isO!OO", &control_fd, &runtime, &PyList_Type, &binds, &rehearse, &serve) == 0) {
    return nullptr;
  }
  zygote::ZygoteConfig config;
  config.runtime = runtime;
  if (!read_binds(binds, config.binds)) return nullptr;
  config.before_fork = [] { PyOS_BeforeFork(); };
  config.after_fork_parent = [] { PyOS_AfterFork_Parent(); };
  config.after_fork_child = [rehearse] { after_fork_child(rehearse); };
  return PyLong_FromLong(zygote::run_zygote(
      control_fd, config, [serve](const zygote::WorkerFds& fds) { return serve_worker(serve, fds); }));
}

}  // namespace sterna::python
