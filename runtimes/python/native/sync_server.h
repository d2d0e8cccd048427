// Serves a sync handler one call at a time: the way of the most requests, so frames are run straight from the
// read buffer, and one read and one write carry many calls.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "answer.h"
#include "python.h"
#include "worker/channel.h"
#include "worker/flusher.h"

namespace sterna::python {

class SyncServer {
 public:
  // `finish(call, slot, run_ns, answer, exception)` ends what is not a common answer; one of the last two is
  // None. Both are borrowed and must outlive the server.
  SyncServer(Channel& channel, PyObject* handle, PyObject* finish)
      : channel_(channel), handle_(handle), finish_(finish), flusher_(channel) {}

  // Serves until SHUTDOWN or until the server is gone. False: a Python error is set (the shim's own, or a
  // broken stream).
  bool run();

  // For answers that are sent in parts while their call is the running one: waits until bytes of its body may
  // be sent, takes at most `wanted` of them, answers how many. 0: the call is cancelled or the server gone.
  // Negative: a Python error is set.
  Py_ssize_t take_window(std::size_t wanted);

  // Whether the running call is cancelled or the server gone; does not wait. nullopt: a Python error is set.
  std::optional<bool> is_cancelled();

 private:
  struct Queued {
    CallId id;
    std::string payload;
  };

  bool run_frame(const wire::Frame& frame);
  bool run_queued();
  bool run_call(CallId id, std::string_view payload);
  bool finish_call(CallId id, std::uint64_t run_ns, Ref answer);
  void flush_unless_more_follows(std::uint64_t run_ns);
  bool prepare_event(std::string_view payload);
  void release_event();

  bool read_while_sending(worker::Wait wait);
  bool take_in(worker::Arrival arrival);
  void drop_queued(std::uint64_t call);

  Channel& channel_;
  PyObject* handle_;
  PyObject* finish_;
  Ref event_;  // used again as long as no handler keeps it
  worker::Flusher flusher_;
  std::uint64_t held_ns_ = 0;  // time that handlers ran since answers left last
  bool shutting_down_ = false;

  // What came while a body was sent in parts.
  std::deque<Queued> queued_;
  std::size_t queued_bytes_ = 0;

  std::uint64_t window_ = 0;
  bool cancelled_ = false;
};

}  // namespace sterna::python
