// One worker process as the server sees it: its socket, its calls, its output.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/loop.h"
#include "pool/call.h"
#include "pool/launcher.h"
#include "pool/worker_output.h"
#include "pool/worker_socket.h"
#include "wire/frame.h"

namespace sterna::pool {

// What a worker reports to its pool.
class WorkerObserver {
 public:
  virtual ~WorkerObserver() = default;
  virtual void on_ready(Worker& worker) = 0;
  // Loaded; serves no calls but is there to be forked.
  virtual void on_paused(Worker& worker) = 0;
  virtual void on_load_failed(Worker& worker, const std::string& summary, const std::string& detail) = 0;
  // A call has ended after `run`, or a cancelled one, of which that is not known: there is room for another.
  virtual void on_room(Worker& worker, std::optional<Duration> run) = 0;
  virtual void on_log(Worker& worker, wire::Stream stream, std::string_view call_id,
                      std::string_view text) = 0;
  // Of what a call's failure has to say: as much as may be logged.
  virtual std::string_view logged_part(std::string_view text) = 0;
  // The socket is closed or a rule of the protocol was broken (`why` is not empty then). The process may
  // still live.
  virtual void on_disconnected(Worker& worker, std::string_view why) = 0;
};

class Worker final : public net::EventHandler, public net::TurnEnd {
 public:
  enum class State : std::uint8_t { kStarting, kReady, kPaused, kRetiring, kLost };

  // Makes the socket, the claim page and the output pipe, and launches. Fails with io when the kernel gives
  // none.
  static Result<std::unique_ptr<Worker>> start(net::Loop& loop, WorkerObserver& observer, Launcher& launcher,
                                               LaunchObserver& launch_observer, std::string instance,
                                               const FunctionConfig& config, const Origin& origin,
                                               std::uint64_t& next_call_number, WorkerSocket::Guard guard);
  ~Worker() override;

  const std::string& instance() const { return instance_; }
  State state() const { return state_; }
  bool is_async() const { return is_async_; }
  const std::string& runtime() const { return runtime_; }
  // Why it did not pause though it should have; empty otherwise.
  const std::string& not_paused() const { return not_paused_; }
  // Calls in the order in which they were sent.
  CallList& calls() { return calls_; }
  // Calls that occupy the worker, with those that were cancelled and have not ended yet.
  std::size_t in_flight() const { return calls_.size() + cancelled_; }
  MonotonicTime idle_since() const { return idle_since_; }
  // Grows with each call that ends: tells whether a worker makes progress.
  std::uint64_t ended() const { return ended_; }
  // Has ended a call in a way that its template provides for, be it an exception.
  bool has_answered() const { return has_answered_; }
  bool has_room() const { return !free_slots_.empty() || slots_.size() < wire::kSlots; }

  // Hands the call over. Needs has_room().
  void send(Call& call);
  // Whether it has a call since before `then` for which no code has run.
  bool keeps_waiting(MonotonicTime then) const;
  // Whether code has run for one of its calls.
  bool has_begun() const;
  // Takes a call back for which no code has run; false when it has begun.
  bool take_back(Call& call);
  // Tells the worker that nobody waits for the call any more. The call is forgotten at once; its slot stays
  // taken until the worker answers, and `stuck` tells when that takes longer than `grace`.
  void cancel(Call& call, Duration grace);
  bool stuck(MonotonicTime now) const;
  // Makes the worker send the answers that it holds back until more are there.
  void ring() { claims_.ring(); }
  // Lets the worker send that many more bytes of the call's response, told to it a good piece at a time.
  void grant(Call& call, std::uint32_t bytes);
  // More of the call's body is there, or its end.
  void body_grew(Call& call);
  // No more calls: finish what was sent, then exit.
  void retire();
  // Reads what the dead process still left in its socket and pipe.
  void drain();

  void on_event(std::uint32_t events) override;
  void on_turn_end() override;

 private:
  // After a share was read: whether there may be more, of which the kernel does not tell again.
  enum class Left : std::uint8_t { kNothing, kPerhapsMore };

  Worker(net::Loop& loop, WorkerObserver& observer, std::string instance, WorkerSocket socket,
         wire::ClaimPage& claims, UniqueFd output, const Origin& origin, std::uint64_t& next_call_number,
         std::uint64_t body_window);
  // As much as a worker gets of one turn; the rest comes in later ones.
  void read_share();
  // At least so many bytes, if they are there.
  Left read(std::size_t share);
  std::size_t take_frames();
  void on_frame(const wire::Frame& frame);
  void on_call_frame(const wire::Frame& frame, Call& call);
  Duration believe(std::uint64_t run_ns, const Call& call) const;
  void on_response(const wire::Frame& frame, Call& call);
  void on_body(const wire::Frame& frame, Call& call);
  void on_request_window(const wire::Frame& frame, Call& call);
  void on_failed(const wire::Frame& frame, Call& call);
  void on_hello(const wire::Frame& frame);
  void on_output(std::string_view text);
  Call* find(const wire::Frame& frame) const;
  // For LOG frames, which name their call by its number alone; empty when it is none of this worker's.
  std::string_view call_id_of(std::uint64_t number) const;
  // No code has run for it, as far as the server can see.
  bool waits_inside(const Call& call) const;
  void release(Call& call);
  void free_slot(std::uint16_t slot);
  void pump();
  // Whether a part of the call's body, or its end, can be sent now.
  static bool has_to_send(const Call& call);
  // Appends a frame with the next part of the call's body, as far as its window allows.
  void write_body(Call& call, wire::FrameType type, std::string_view head, std::size_t limit);
  void flush();
  void flush_later();
  // EPOLL* bits of the socket.
  void watch(std::uint32_t events);
  void lose(std::string_view why);

  net::Loop& loop_;
  WorkerObserver& observer_;
  const std::string instance_;
  WorkerSocket socket_;
  wire::ClaimPage& claims_;
  std::unique_ptr<WorkerOutput> output_;
  std::uint64_t& next_call_number_;
  const bool may_pause_;
  const std::uint64_t body_window_;  // of a call that is handed over
  State state_ = State::kStarting;
  bool greeted_ = false;
  bool serves_ = false;  // has said READY
  bool is_async_ = false;
  std::string runtime_;
  std::string not_paused_;

  CallList calls_;
  struct Slot {
    Call* call = nullptr;  // null: free, or its call was cancelled or recalled
    std::uint64_t number = 0;
    std::string cancelled_id;                              // the call id, for what its code still logs
    MonotonicTime cancelled_until = MonotonicTime::max();  // when a cancelled call should have ended
  };
  std::vector<Slot> slots_;
  std::vector<std::uint16_t> free_slots_;
  std::size_t cancelled_ = 0;
  std::uint64_t ended_ = 0;
  bool has_answered_ = false;
  MonotonicTime idle_since_;

  wire::FrameReader reader_;
  std::uint64_t logged_ = 0;  // bytes of LOG frames, and what a frame costs
  std::optional<net::Loop::TimerId> read_pause_;
  std::string out_;
  std::uint32_t watched_ = 0;
  std::size_t out_sent_ = 0;
  std::size_t windows_ = 0;  // bytes of WINDOW frames since out_ was last empty
  std::optional<net::Loop::TimerId> flush_timer_;
  std::vector<Call*> pumping_;  // calls of whose bodies something can be sent, each once
};

}  // namespace sterna::pool
