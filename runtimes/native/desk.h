// The calls of a worker whose user code is another process: takes them in over one event loop, starts as many
// as may run, and sends their answers.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/loop.h"
#include "wire/messages.h"
#include "worker/channel.h"

namespace sterna::native {

class Desk;

// One call that runs: its request, and its answer in the order respond, part ..., or fail at any time. The
// caller keeps what it sends within `window`.
class Exchange {
 public:
  // `payload` is a well-formed request (wire/messages.h): the server is trusted to send no other. `more`:
  // whether more of its body is to come.
  Exchange(Desk& desk, std::uint16_t slot, std::uint64_t call, std::string payload, wire::More more);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  std::uint64_t call() const { return call_; }
  const wire::RequestHead& request() const { return request_; }
  // What is there of the body, without what was taken. When it is not whole, more comes behind that: the run
  // is told.
  std::string_view body() const { return body_; }
  bool body_is_whole() const { return body_more_ == wire::More::kNo && later_.empty(); }
  // Whether all of it came with the request.
  bool body_came_in_parts() const { return in_parts_; }
  // The length that the caller has said; nullopt: none, or it came as a whole.
  std::optional<std::uint64_t> announced_length() const;
  // The run has passed so many bytes on, or has no use for them: they are gone from `body`, and as many more
  // may come.
  void take_body(std::size_t bytes);
  // The first header of that name, without regard to case; empty when absent.
  std::string_view header(std::string_view name) const;

  // Body bytes that may be sent now.
  std::uint64_t window() const { return window_; }
  bool answered() const { return answered_; }
  bool ended() const { return ended_; }

  // `block` is made with wire::append_header. More::kNo ends the call.
  void respond(std::uint32_t status, std::uint32_t header_count, std::string_view block,
               std::uint64_t content_length, std::string_view body, wire::More more);
  void part(std::string_view body, wire::More more);
  void fail(wire::FailKind kind, std::string_view text);
  // A line of the call's log that comes from the runtime, not from user code.
  void note(std::string_view text);

 private:
  friend class Desk;
  void add_body(std::string_view part, wire::More more);
  void next_part();
  void end();
  std::uint64_t run_ns() const;

  Desk& desk_;
  const std::uint16_t slot_;
  const std::uint64_t call_;
  const std::string payload_;  // viewed by the next two
  wire::RequestHead request_;
  std::string_view body_;  // at first of payload_, then of part_
  const bool in_parts_;
  wire::More body_more_;
  std::string part_;
  std::string later_;        // what has come behind part_
  std::uint32_t taken_ = 0;  // body bytes of which the server has not been told
  const MonotonicTime started_;
  std::uint64_t window_ = wire::kInitialWindow;
  bool answered_ = false;
  bool ended_ = false;
};

// What a template does with one call. Destroyed after its exchange has ended.
class Run {
 public:
  virtual ~Run() = default;
  // The caller is gone: end the exchange soon, with kCancelled.
  virtual void cancel() = 0;
  // The window is open again after it had been shut.
  virtual void on_window() = 0;
  // More of the request's body has come, or its end. Only where bodies come in parts.
  virtual void on_body() {}
};

class RunMaker {
 public:
  virtual ~RunMaker() = default;
  // Begins a run; the exchange outlives it. May end the exchange at once.
  virtual std::unique_ptr<Run> start(Exchange& exchange) = 0;
  // Whether a call that waits may begin now. Until then it can be given to another worker. When a no
  // becomes a yes, Desk::start_more must be called.
  virtual bool can_start() { return true; }
  // No more calls come and none is left. Must stop the loop in the end.
  virtual void leave() = 0;
};

class Desk final : public net::EventHandler, public net::TurnEnd {
 public:
  // `concurrency`: calls that run at a time. All must outlive the desk.
  Desk(net::Loop& loop, worker::Channel& channel, std::size_t concurrency, RunMaker& maker);
  ~Desk() override;

  // Before that nothing is read; calls that came meanwhile wait. Fails with io.
  Status open(std::string_view runtime, bool async);

  // Begins calls that wait, as many as may, when the turn ends.
  void start_more() { loop_.at_turn_end(*this); }

  net::Loop& loop() { return loop_; }
  worker::Channel& channel() { return channel_; }
  std::size_t running() const { return entries_.size(); }
  // The call that runs when it is the only one; else 0. What user code prints is taken for its.
  std::uint64_t only_call() const;
  void log(std::uint64_t call, wire::Stream stream, std::string_view text);

  void on_event(std::uint32_t events) override;
  void on_turn_end() override;

 private:
  friend class Exchange;
  struct Queued {
    std::uint16_t slot = 0;
    std::uint64_t call = 0;
    std::string payload;
    wire::More more = wire::More::kNo;
  };
  struct Entry {
    Entry(Desk& desk, Queued queued)
        : exchange(desk, queued.slot, queued.call, std::move(queued.payload), queued.more) {}
    Exchange exchange;
    std::unique_ptr<Run> run;
  };

  // Takes in all that has been read; false: it cannot be understood, and the loop stops.
  bool take_all();
  bool take(const wire::Frame& frame);
  void cancel(std::uint16_t slot, std::uint64_t call);
  void widen(std::uint64_t call, std::uint32_t bytes);
  void add_body(std::uint64_t call, std::string_view part, wire::More more);
  void start_queued();
  void start(Queued queued);
  void ended(std::uint64_t call);
  void flush();
  // EPOLL* bits of the channel.
  void watch(std::uint32_t events);
  void give_up(std::string_view why);

  net::Loop& loop_;
  worker::Channel& channel_;
  const std::size_t concurrency_;
  RunMaker& maker_;
  std::deque<Queued> queued_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Entry>> entries_;
  std::vector<std::unique_ptr<Entry>> ended_;  // until the turn ends: they may be running code
  std::uint32_t watched_ = 0;                  // 0: not open yet
  bool shutting_down_ = false;
  bool left_ = false;
};

}  // namespace sterna::native
