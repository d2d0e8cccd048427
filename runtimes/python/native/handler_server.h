// Serves a sync Python handler (worker/sync_server.h).
#pragma once

#include <optional>

#include "answer.h"
#include "python.h"
#include "worker/sync_server.h"

namespace sterna::python {

class HandlerServer final : private worker::SyncServer {
 public:
  // `finish(call, slot, run_ns, answer, exception)` ends what is not a common answer; one of the last two is
  // None. Both run in one context for each call: `new_context()` makes it, `run_in(context, function, ...)`
  // enters it. All are borrowed and must outlive the server.
  HandlerServer(Channel& channel, PyObject* handle, PyObject* finish, PyObject* new_context, PyObject* run_in)
      : SyncServer(channel), handle_(handle), finish_(finish), new_context_(new_context), run_in_(run_in) {}

  // False: a Python error is set (the shim's own, or a broken stream).
  bool serve();

  // As SyncServer has it. Negative: a Python error is set.
  Py_ssize_t take_window(std::size_t wanted);
  // nullopt: a Python error is set.
  std::optional<bool> is_cancelled();

 private:
  Result<std::uint64_t> run_handler(CallId id, std::string_view payload) override;
  bool finish_call(PyObject* context, CallId id, std::uint64_t run_ns, Ref answer);
  bool prepare_event(std::string_view payload);
  void release_event();

  PyObject* handle_;
  PyObject* finish_;
  PyObject* new_context_;
  PyObject* run_in_;
  Ref event_;  // used again as long as no handler keeps it
};

}  // namespace sterna::python
