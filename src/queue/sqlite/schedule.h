// What waits and what runs, in memory: numbers only, so that a million of them stay small. The database has
// the rest.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "queue/lease_queue.h"
#include "queue/sqlite/seq_set.h"

namespace sterna::queue::sqlite {

// Milliseconds since 1970, as stored.
using Millis = std::int64_t;

// What is put off until some time waits for the wall clock, which may jump. What grows old does so by a clock
// that does not: the wall clock as it was at the start, moved on by the monotonic one.
struct Now {
  Millis wall = 0;
  Millis age = 0;

  Millis ahead() const { return wall - age; }  // the wall clock, of the other one
};

struct Ticket {
  std::uint64_t seq = 0;  // order of acceptance
  std::uint64_t kib = 1;  // about what it takes on disk
  Millis due = 0;         // since then it may run; of the wall clock
  Millis expires_at = 0;  // of the clock of ages; as long as it is delayed, of the wall clock, as `due`
};

// The column `due` of what stands in no line.
inline constexpr Millis kDueAtOnce = -1;
// About what an invocation with a request of so many bytes takes on disk.
std::uint64_t kib_of(std::uint64_t body_bytes);

struct Space;

// When something is to happen: due, then seq.
using Moment = std::pair<Millis, std::uint64_t>;

// The waiting line of one function.
struct Lane {
  std::int64_t key = 0;  // in the database
  FunctionName function;
  Space* space = nullptr;
  bool stored = false;       // its row is on disk
  bool parked = false;       // may not run now
  bool held_up = false;      // the same, of what stands in no line
  bool listed = false;       // stands in its space's round
  bool forgotten = false;    // the function is gone: nothing enters any more
  std::size_t arriving = 0;  // on their way to the disk, to be added when they are there
  std::deque<Ticket> ready;
  std::vector<Ticket> delayed;   // a heap, the first one due in front; some may not be there any more
  Millis first_expiry = kNever;  // no ticket of `ready` expires earlier
  std::size_t waiting = 0;  // that are not settled on disk: ready, delayed, paused, leased, and expired ones
  std::size_t paused = 0;   // of these, some may not be there any more
  std::unordered_set<std::uint64_t> leased;  // by seq

  static constexpr Millis kNever = INT64_MAX;
};

struct Space {
  std::deque<Lane*> round;  // lanes that may run, the next one in front
  bool listed = false;
  std::size_t arriving = 0;  // of all its lanes
  std::size_t waiting = 0;   // the same
};

struct Leased {
  Ticket ticket;
  Lane* lane = nullptr;
  std::uint64_t epoch = 0;
  MonotonicTime until;
  Millis taken_at = 0;
  Turn turn = Turn::kInLine;
};

struct Waiting {
  Lane* lane = nullptr;
  Ticket ticket;
};

// Which tickets there are, and where each of them stands. Ends of all kinds meet: a cancellation, an expiry,
// a settlement and the function's end may all be on their way to the disk for one ticket. So a ticket is
// counted in once and out once, whoever comes first, and what comes later finds that it is not there. Loop
// only.
class Schedule {
 public:
  // Makes the lane when it is new, with the next free key.
  Lane& lane(const FunctionName& function);
  // As read from the database.
  Lane& restore_lane(const FunctionName& function, std::int64_t key);
  Lane* find_lane(const std::string& function_id);

  // Takes room for what is on its way to the disk, and gives it back when that has come to its end: once for
  // each. The lane stays meanwhile.
  void expect(Lane& lane);
  void arrived(Lane& lane);

  // Waits for its time, which may have passed. A lane that is forgotten takes nothing, here and below.
  void add_delayed(Lane& lane, const Ticket& ticket);
  // May run now.
  void add_ready(Lane& lane, const Ticket& ticket, Turn turn = Turn::kInLine);
  // Moves what is due; answers whether anything was. From when it was due it has the time that is between its
  // `due` and its `expires_at`, whatever the wall clock did until then.
  bool promote(Now now);

  // The next one in fair order, taken until `until`. Expired ones on the way are set aside.
  const Leased* take(Turn turn, const MayRun& may_run, MonotonicTime until, Now now);
  void wake(Lane& lane);

  Leased* leased(std::uint64_t seq);
  const Leased* leased(std::uint64_t seq) const;
  Leased* leased(const Receipt& receipt);
  // Ends the lease; the ticket is not waiting any more.
  void end(std::uint64_t seq);
  // Ends the lease and puts the ticket back: at the head of its line, or, unless `until` (an age) is 0, at
  // its place in line from then on. Of a forgotten lane it only ends, as with `postpone`.
  void put_back(std::uint64_t seq, Millis until);
  // Ends the lease; the ticket waits for its next turn, which is due then, or when it expires if that is
  // earlier. `ahead`: Now::ahead() when `due` was set.
  void postpone(std::uint64_t seq, Millis due, Millis ahead);
  // It is settled, and will not be taken; nothing when it is not there any more. Not of a leased one.
  void drop(Lane& lane, const Ticket& ticket);
  // The function is gone: takes out all that waits, without the leased ones, and lets nothing in any more.
  void forget(Lane& lane);
  // Whether all of a forgotten lane is gone, so that it may be erased.
  bool is_over(const Lane& lane) const;
  void erase_lane(std::int64_t key);

  std::vector<Receipt> overdue(MonotonicTime now) const;  // leases that have run out
  // Sets aside what may not run any more: it stands in no line, and counts until it is dropped.
  void set_aside_expired(Millis age);
  bool any_expired() const { return !expired_.empty(); }
  // At most `count` of those that were set aside, the first one first; each is to be dropped, or put aside
  // again.
  std::vector<Waiting> take_expired(std::size_t count);
  void put_aside(Lane& lane, const Ticket& ticket);

  // Of all that waits or is leased, about.
  std::uint64_t waiting_bytes() const { return waiting_kib_ << 10U; }
  // How many tickets are kept, those that were dropped among them: some more than twice as many as there are.
  std::size_t kept() const;
  // Of those that nobody has taken, since when the one that is due for longest is.
  std::optional<Millis> oldest(const Lane& lane) const;
  const std::unordered_map<std::string, std::unique_ptr<Lane>>& lanes() const { return lanes_; }

 private:
  struct Paused {
    Ticket ticket;
    Lane* lane = nullptr;
    Millis until = 0;  // an age
  };

  const Leased* take_in_line(const MayRun& may_run, MonotonicTime until, Now now);
  const Leased* take_at_once(const MayRun& may_run, MonotonicTime until, Now now);
  const Leased& hold(Lane& lane, const Ticket& ticket, Turn turn, MonotonicTime until, Now now);
  Leased release(std::uint64_t seq);
  bool waits_on(const Leased& held);
  void enter(Lane& lane, const Ticket& ticket);
  void unpause(const Paused& paused);
  void trim(Lane& lane);
  void set_aside_front(Lane& lane, Millis age);
  void clear(Lane& lane);
  void remove_dropped();
  void delay(Lane& lane, const Ticket& ticket);
  Ticket take_first_delayed(Lane& lane);
  void list_delayed(Lane& lane);
  void unlist_delayed(const Lane& lane);
  void list(Lane& lane);
  bool is_there(const Ticket& ticket) const { return there_.contains(ticket.seq); }
  void unlist_front(Space& space);
  bool count_in(Lane& lane, const Ticket& ticket);
  bool count_out(Lane& lane, const Ticket& ticket);

  std::unordered_map<std::string, std::unique_ptr<Lane>> lanes_;    // by function id
  std::unordered_map<std::string, std::unique_ptr<Space>> spaces_;  // by name
  std::deque<Space*> round_;                                        // spaces with lanes that may run
  std::deque<Waiting> at_once_;                                     // what is ready and stands in no line
  std::deque<Waiting> expired_;                                     // set aside
  std::uint64_t waiting_kib_ = 0;
  std::map<Moment, Lane*> delayed_;  // lanes where something is delayed, by when the first of it is due
  Millis promoted_at_ = INT64_MIN;   // the age at which `promote` last looked
  std::unordered_map<std::uint64_t, Paused> paused_;  // put back for a while, by seq
  std::unordered_map<std::uint64_t, Leased> leases_;
  // All that are counted. One that was dropped may still stand in `ready`, `delayed` or `expired_`, and is
  // passed over there.
  SeqSet there_;
  std::size_t dropped_ = 0;  // since `remove_dropped`
  std::int64_t next_key_ = 1;
  std::uint64_t next_epoch_ = 1;
};

}  // namespace sterna::queue::sqlite
