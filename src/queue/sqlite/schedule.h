// What waits and what runs, in memory: numbers only, so that a million of them stay small. The database has
// the rest.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "queue/lease_queue.h"

namespace sterna::queue::sqlite {

// Milliseconds since 1970, as stored.
using Millis = std::int64_t;

struct Ticket {
  std::uint64_t seq = 0;  // order of acceptance
  std::uint64_t kib = 1;  // about what it takes on disk
  Millis due = 0;         // may run from then on
  Millis expires_at = 0;
};

// The column `due` of what stands in no line.
inline constexpr Millis kDueAtOnce = -1;
// About what an invocation with a request of so many bytes takes on disk.
std::uint64_t kib_of(std::uint64_t body_bytes);

struct Space;

// The waiting line of one function.
struct Lane {
  std::int64_t key = 0;  // in the database
  FunctionName function;
  Space* space = nullptr;
  bool stored = false;       // its row is on disk
  bool parked = false;       // may not run now
  bool held_up = false;      // the same, of what stands in no line
  bool listed = false;       // stands in its space's round
  bool forgotten = false;    // the function is gone
  std::size_t arriving = 0;  // submissions on their way to the disk
  std::deque<Ticket> ready;
  Millis first_expiry = kNever;  // no ticket of `ready` expires earlier
  std::size_t waiting = 0;       // ready, delayed and leased
  std::size_t leased = 0;

  static constexpr Millis kNever = INT64_MAX;
};

struct Space {
  std::deque<Lane*> round;  // lanes that may run, the next one in front
  bool listed = false;
  std::size_t waiting = 0;  // of all its lanes
};

struct Leased {
  Ticket ticket;
  Lane* lane = nullptr;
  std::uint64_t epoch = 0;
  MonotonicTime until;
  Millis taken_at = 0;
  Turn turn = Turn::kInLine;
};

// Loop only.
class Schedule {
 public:
  // Makes the lane when it is new, with the next free key.
  Lane& lane(const FunctionName& function);
  // As read from the database.
  Lane& restore_lane(const FunctionName& function, std::int64_t key);
  Lane* find_lane(const std::string& function_id);

  // Waits for its time, which may have passed.
  void add_delayed(Lane& lane, const Ticket& ticket);
  // May run now.
  void add_ready(Lane& lane, const Ticket& ticket, Turn turn = Turn::kInLine);
  // Moves what is due; answers whether anything was.
  bool promote(Millis now);

  // The next one in fair order, taken for `lease`.
  const Leased* take(Turn turn, const MayRun& may_run, MonotonicTime until, Millis now);
  void wake(Lane& lane);

  Leased* leased(std::uint64_t seq);
  Leased* leased(const Receipt& receipt);
  // Ends the lease; the ticket is not waiting any more.
  void end(std::uint64_t seq);
  // Ends the lease and puts the ticket back: at the head of its line, or into line again at `due` unless that
  // is 0.
  void put_back(std::uint64_t seq, Millis due);
  // Takes out what is ready or delayed: it will not be taken.
  void drop(Lane& lane, const Ticket& ticket);
  // Takes out all that waits, without the leased ones.
  void clear(Lane& lane);
  // Of a function that is gone and has nothing waiting.
  void erase_lane(std::int64_t key);

  // Leases that have run out; tickets that may not run any more.
  std::vector<Receipt> overdue(MonotonicTime now) const;
  std::vector<std::pair<Lane*, Ticket>> take_expired(Millis now);

  // Of all that waits or is leased, about.
  std::uint64_t waiting_bytes() const { return waiting_kib_ << 10U; }
  std::vector<std::uint64_t> leased_of(const Lane& lane) const;
  std::optional<Millis> oldest(const Lane& lane) const;
  const std::unordered_map<std::string, std::unique_ptr<Lane>>& lanes() const { return lanes_; }

 private:
  struct Delayed {
    Ticket ticket;
    Lane* lane = nullptr;
    bool operator>(const Delayed& other) const {
      return ticket.due != other.ticket.due ? ticket.due > other.ticket.due : ticket.seq > other.ticket.seq;
    }
  };

  const Leased* take_in_line(const MayRun& may_run, MonotonicTime until, Millis now);
  const Leased* take_at_once(const MayRun& may_run, MonotonicTime until, Millis now);
  const Leased& hold(Lane& lane, const Ticket& ticket, Turn turn, MonotonicTime until, Millis now);
  void enter(Lane& lane, const Ticket& ticket);
  void trim(Lane& lane);
  void list(Lane& lane);
  bool is_dropped(const Ticket& ticket);
  void unlist_front(Space& space);
  void count(Lane& lane, const Ticket& ticket);
  void uncount(Lane& lane, const Ticket& ticket);

  std::unordered_map<std::string, std::unique_ptr<Lane>> lanes_;    // by function id
  std::unordered_map<std::string, std::unique_ptr<Space>> spaces_;  // by name
  std::deque<Space*> round_;                                        // spaces with lanes that may run
  std::deque<std::pair<Lane*, Ticket>> at_once_;                    // what is ready and stands in no line
  std::uint64_t waiting_kib_ = 0;
  std::priority_queue<Delayed, std::vector<Delayed>, std::greater<>> delayed_;
  std::unordered_map<std::uint64_t, Leased> leases_;
  std::unordered_set<std::uint64_t> dropped_;  // still stands in `ready` or `delayed_`
  std::int64_t next_key_ = 1;
  std::uint64_t next_epoch_ = 1;
};

}  // namespace sterna::queue::sqlite
