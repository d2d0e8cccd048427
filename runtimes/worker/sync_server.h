// Serves a sync handler one call at a time: the way of the most requests, so frames are run straight from the
// read buffer, and one read and one write carry many calls.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "worker/channel.h"
#include "worker/flusher.h"

namespace sterna::worker {

class SyncServer {
 public:
  explicit SyncServer(Channel& channel) : channel_(channel), flusher_(channel) {}
  virtual ~SyncServer() = default;
  SyncServer(const SyncServer&) = delete;
  SyncServer& operator=(const SyncServer&) = delete;

  // Serves until SHUTDOWN or until the server is gone. Needs the channel's guard. Fails with what
  // `run_handler` failed with, or with invalid, reason `bad_frame`, when the stream is broken.
  Status run();

  // For answers that are sent in parts while their call is the running one, by one thread at a time: waits
  // until bytes of its body may be sent, takes at most `wanted` of them, answers how many. 0: the call is
  // cancelled or the server gone.
  Result<std::size_t> take_window(std::size_t wanted);

  // Whether the running call is cancelled or the server gone; does not wait.
  Result<bool> is_cancelled();

 protected:
  // Runs user code for one claimed call and appends all of its answer; answers how many nanoseconds user code
  // ran. `payload` is a request (wire/messages.h), valid until the next read: take_window and is_cancelled
  // read.
  virtual Result<std::uint64_t> run_handler(CallId id, std::string_view payload) = 0;

  Channel& channel() { return channel_; }

  // As is_cancelled, by what has been read: for other threads while one is in take_window.
  bool is_known_cancelled() const { return cancelled_ || channel_.closed(); }

 private:
  struct Queued {
    CallId id;
    std::string payload;
  };

  Status run_frame(const wire::Frame& frame);
  Status run_queued();
  Status run_call(CallId id, std::string_view payload);
  void flush_unless_more_follows(std::uint64_t run_ns);

  Status read_while_sending(Wait wait);
  Status take_in(Arrival arrival);
  void drop_queued(std::uint64_t call);

  Channel& channel_;
  Flusher flusher_;
  std::uint64_t held_ns_ = 0;  // time that handlers ran since answers left last
  bool shutting_down_ = false;

  // What came while a body was sent in parts.
  std::deque<Queued> queued_;
  std::size_t queued_bytes_ = 0;

  // Of the running call.
  std::uint64_t window_ = 0;
  bool cancelled_ = false;
};

// Of the monotonic clock.
std::uint64_t now_ns();

}  // namespace sterna::worker
