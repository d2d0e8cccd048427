#include "handler_server.h"

#include "event.h"

namespace sterna::python {
namespace {

// Sets the Python error of a failure, unless it stands for one that is set already.
bool raise(const Error& error) {
  if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_ConnectionError, error.detail.c_str());
  return false;
}

std::unexpected<Error> python_error() {
  return fail(Code::kFunctionFailed, Component::kWorker, "python_error", "a Python error is set");
}

Ref take_exception() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace != nullptr) PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  return Ref(value);
}

}  // namespace

bool HandlerServer::serve() {
  const Status ran = run();
  return ran ? true : raise(ran.error());
}

Py_ssize_t HandlerServer::take_window(std::size_t wanted) {
  const auto taken = SyncServer::take_window(wanted);
  if (taken) return static_cast<Py_ssize_t>(*taken);
  raise(taken.error());
  return -1;
}

std::optional<bool> HandlerServer::is_cancelled() {
  const auto cancelled = SyncServer::is_cancelled();
  if (cancelled) return *cancelled;
  raise(cancelled.error());
  return std::nullopt;
}

Result<std::uint64_t> HandlerServer::run_handler(CallId id, std::string_view payload) {
  const Ref context(PyObject_CallFunctionObjArgs(new_context_, nullptr));
  if (!context || !prepare_event(payload)) return python_error();
  const std::uint64_t started = worker::now_ns();
  Ref answer(PyObject_CallFunctionObjArgs(run_in_, context.get(), handle_, event_.get(), nullptr));
  const std::uint64_t run_ns = worker::now_ns() - started;
  if (!answer || !write_common_answer(channel(), id, run_ns, answer.get())) {
    if (!finish_call(context.get(), id, run_ns, std::move(answer))) return python_error();
  }
  release_event();
  return run_ns;
}

bool HandlerServer::finish_call(PyObject* context, CallId id, std::uint64_t run_ns, Ref answer) {
  const Ref exception = answer ? Ref() : take_exception();
  detach_event(event_.get());  // the next read may come while a generator still uses it
  const Ref call(PyLong_FromUnsignedLongLong(id.call));
  const Ref slot(PyLong_FromLong(id.slot));
  const Ref run(PyLong_FromUnsignedLongLong(run_ns));
  if (!call || !slot || !run) return false;
  return Ref(PyObject_CallFunctionObjArgs(run_in_, context, finish_, call.get(), slot.get(), run.get(),
                                          answer ? answer.get() : Py_None,
                                          exception ? exception.get() : Py_None, nullptr))
             .get() != nullptr;
}

bool HandlerServer::prepare_event(std::string_view payload) {
  if (event_) {
    const Status reused = reuse_event(event_.get(), payload);
    return reused ? true : raise(reused.error());
  }
  Result<Ref> made = make_event(payload);
  if (!made) return raise(made.error());
  event_ = std::move(*made);
  return static_cast<bool>(event_);
}

void HandlerServer::release_event() {
  if (Py_REFCNT(event_.get()) == 1) return;
  detach_event(event_.get());
  event_.reset();
}

}  // namespace sterna::python
