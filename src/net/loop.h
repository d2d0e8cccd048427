// The event loop: one thread, edge-triggered epoll, timers, and work that is gathered until the turn ends.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace sterna::net {

// Something with a file descriptor in the loop.
class EventHandler {
 public:
  virtual ~EventHandler() = default;
  // EPOLL* bits of what changed. Edge-triggered: read or write until the kernel says no more, or stop after a
  // fair share and ask Loop::tell_again for the rest.
  virtual void on_event(std::uint32_t events) = 0;

 private:
  friend class Loop;
  std::uint32_t again_ = 0;  // what it asked to be told in the next turn
};

// Something that gathers output during a turn and hands it to the kernel once, when the turn ends.
class TurnEnd {
 public:
  // kEarly: what it hands over sets others to work, who go on while the rest of this turn's output leaves.
  enum class When : std::uint8_t { kEarly, kLate };

  explicit TurnEnd(When when = When::kLate) : when_(when) {}
  virtual ~TurnEnd() = default;
  virtual void on_turn_end() = 0;

 private:
  friend class Loop;
  const When when_;
  bool listed_ = false;
};

using Job = std::move_only_function<void()>;

class Loop {
 public:
  using TimerId = std::pair<MonotonicTime, std::uint64_t>;

  // Throws std::system_error when the kernel gives no epoll or eventfd. `clock` must outlive it.
  explicit Loop(const Clock& clock);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Watches `fd` for reading, writing and hang-up until `remove`. The handler must stay alive until then.
  Status add(int fd, EventHandler& handler, std::uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  // Watches a descriptor of `add` for other events from now on; what is there already is told again.
  Status change(int fd, EventHandler& handler, std::uint32_t events);
  void remove(int fd, EventHandler& handler);
  // Calls `handler.on_event(events)` once in the next turn, which does not wait for the kernel then. For one
  // that has more to do than others and the timers should wait for. `remove` takes it back.
  void tell_again(EventHandler& handler, std::uint32_t events);

  // Destroys `garbage` when the turn ends, so that a handler may end itself while it runs.
  void dispose(std::unique_ptr<EventHandler> garbage) { garbage_.push_back(std::move(garbage)); }

  // Runs `job` on the loop's thread in a later turn. Any thread.
  void post(Job job);

  // Calls `entry` once when this turn ends; asking again before has no effect. `forget` takes it back.
  void at_turn_end(TurnEnd& entry);
  void forget(TurnEnd& entry);

  TimerId after(Duration delay, Job job);
  void cancel(const TimerId& id) { timers_.erase(id); }

  // The time at which this turn began; cheap.
  MonotonicTime now() const { return now_; }
  const Clock& clock() const { return clock_; }

  // A buffer for one read, shared by all handlers: valid until the handler returns.
  std::vector<char>& scratch() { return scratch_; }

  // Runs until `stop`. The thread that calls it is the loop's thread.
  void run();
  // Any thread.
  void stop();
  // One turn that waits at most `limit`; for tests.
  void turn(Duration limit);

 private:
  int wait_ms(Duration limit) const;
  void run_again();
  void run_jobs();
  void run_timers();
  std::vector<TurnEnd*>& list_of(const TurnEnd& entry);
  void end_turn();

  const Clock& clock_;
  UniqueFd epoll_;
  UniqueFd wake_;
  MonotonicTime now_;
  std::uint64_t next_timer_ = 1;
  std::map<TimerId, Job> timers_;
  std::vector<epoll_event> events_;
  std::size_t event_count_ = 0;
  std::vector<EventHandler*> again_;       // to be told in the next turn
  std::vector<EventHandler*> being_told_;  // of this turn
  std::vector<TurnEnd*> early_;
  std::vector<TurnEnd*> late_;
  std::vector<std::unique_ptr<EventHandler>> garbage_;
  std::vector<char> scratch_;
  std::atomic<bool> stopping_ = false;

  std::mutex mutex_;
  std::vector<Job> posted_;  // guarded by mutex_
};

}  // namespace sterna::net
