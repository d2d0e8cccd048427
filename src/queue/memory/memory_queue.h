// What a queue does, written down in the simplest way that is right: the executable specification of
// LeaseQueue, Outbox and Invocations. Not durable, and every call looks at all invocations: for tests.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/loop.h"
#include "queue/invocations.h"
#include "queue/lease_queue.h"
#include "queue/limits.h"
#include "queue/outbox.h"

namespace sterna::queue {

// Every change is made in a later turn of the loop than it was asked for in, as if a disk was written
// meanwhile. Of the limits, those that count bytes do not apply.
class MemoryQueue final : public LeaseQueue, public Outbox, public Invocations {
 public:
  // Both outlive it.
  MemoryQueue(net::Loop& loop, net::BodyBudget& bodies, const QueueLimits& limits);
  ~MemoryQueue() override;

  // As if the process had ended and begun again: what is under way is forgotten, nobody is told.
  void restart();

  // LeaseQueue
  void observe(QueueObserver& observer) override { observer_ = &observer; }
  void enqueue(Submission submission, Done<Accepted> done) override;
  bool take(Turn turn, const MayRun& may_run, Duration lease, Done<Lease> done) override;
  void wake(const std::string& function_id) override;
  Status renew(const Receipt& receipt, Duration lease) override;
  void settle(const Receipt& receipt, Settlement settlement, Done<void> done) override;
  void give_back(const Receipt& receipt, Duration pause) override;
  void cancel(const std::string& function_id, const std::string& id, Done<void> done) override;
  void redrive(const std::string& function_id, const std::string& id, const Redrive& terms,
               Done<void> done) override;
  void forget(const std::string& function_id) override;
  Depth depth(const std::string& function_id) const override;

  // Outbox
  void on_due(std::function<void()> wanted) override { delivery_wanted_ = std::move(wanted); }
  bool take_delivery(Done<DueDelivery> done) override;
  void end_delivery(std::uint64_t seq, DeliveryEnd end) override;
  void redeliver(const std::string& function_id, const std::string& id, Done<void> done) override;
  std::size_t pending_deliveries() const override;

  // Invocations
  void find(const std::string& function_id, const std::string& id, Done<Record> done) override;
  void list(const std::string& function_id, const Filter& filter, std::size_t limit,
            const std::string& cursor, Done<Listing> done) override;
  void answer(const std::string& function_id, const std::string& id, Done<StoredAnswer> done) override;

 private:
  struct Held {
    std::uint64_t epoch = 0;
    MonotonicTime until;
    WallTime taken_at;
    bool settling = false;  // holds until the settlement is written
  };
  struct Kept {
    std::uint32_t header_count = 0;
    std::string headers;
    std::shared_ptr<const std::string> body;  // shared with who reads it
  };
  struct Entry {
    std::uint64_t seq = 0;  // order of acceptance
    Record record;          // its state is never kRunning: that is what a lease tells
    std::string request;
    std::string body;
    WallTime expires_at;  // as on disk
    WallTime due_at;      // since then it may run; of two, the one that may for longer runs first
    Duration patience{};  // how long it may wait from then on
    std::optional<MonotonicTime> ends;  // its wait; nullopt: it is not due yet
    MonotonicTime again_at;             // it does not run before
    std::int64_t max_attempts = 0;
    std::int64_t spent = 0;
    Turn turn = Turn::kInLine;
    bool may_have_run = false;  // though no attempt is known: it is from before a restart
    std::optional<Held> held;
    std::optional<Kept> answer;
    MonotonicTime delivery_due;  // the wall clock may jump
    MonotonicTime delivery_since;
    std::int64_t delivery_tried = 0;
    bool sending = false;
    bool superseded = false;  // what is being sent is an answer from before a redrive

    bool waits() const { return record.state == State::kQueued; }
  };
  struct Key {
    std::string fingerprint;
    std::string id;
    WallTime forgotten_at;
  };
  struct Lane {
    FunctionName function;
    bool parked = false;
    bool held_up = false;  // the same, of what stands in no line
    bool forgotten = false;
    std::uint64_t served = 0;  // the turn in which it was last served
    std::map<std::string, Key> keys;
  };

  // `job` in a later turn, unless the queue is gone by then.
  void post(net::Job job);
  void tick();
  void end_leases();
  void begin_waits();
  void expire();
  void remove_old();

  Result<Accepted> accept(Submission& submission);
  Status check_room(const FunctionName& function, std::optional<std::size_t> space_backlog) const;
  Result<std::optional<Accepted>> repeated(Lane& lane, const Submission& submission);
  std::size_t waiting(const std::function<bool(const FunctionName&)>& of) const;
  bool may_be_taken(const Entry& entry) const;
  const Entry* next_of(const Lane& lane) const;
  Lane* next_lane();
  Entry* take_in_line(const MayRun& may_run);
  Entry* take_at_once(const MayRun& may_run);
  bool has_live_key(const Entry& entry) const;
  void forget_key(const Entry& entry);
  Result<Lease> lease_of(const Receipt& receipt);
  Entry* leased(const Receipt& receipt);
  Entry* entry_of(const std::string& function_id, const std::string& id);
  Result<Entry*> known(const std::string& function_id, const std::string& id);
  void write(const Receipt& receipt, Settlement settlement, Done<void> done);
  Status end_attempt(Entry& entry, Settlement& settlement);
  // Ends it with what `record` and `answer` hold already.
  void end(Entry& entry, State state, std::string_view reason);
  void revoke(Entry& entry, std::string_view reason);
  void note_interruption(Entry& entry);
  bool is_running(const Entry& entry) const;
  Record record_of(const Entry& entry) const;
  Entry* next_delivery();
  DueDelivery delivery_of(const Entry& entry, const Kept& answer) const;

  WallTime now() const { return loop_.clock().wall(); }

  net::Loop& loop_;
  net::BodyBudget& bodies_;
  const QueueLimits limits_;
  QueueObserver* observer_ = nullptr;
  std::function<void()> delivery_wanted_ = [] {};
  std::map<std::uint64_t, Entry> entries_;       // by seq
  std::map<std::string, Lane> lanes_;            // by function id
  std::map<std::string, std::uint64_t> spaces_;  // by name: the turn in which it was last served
  std::uint64_t next_seq_ = 1;
  std::uint64_t next_epoch_ = 1;
  std::uint64_t turn_ = 1;  // grows with every take
  net::Loop::TimerId timer_;
  MonotonicTime looked_at_;  // by `begin_waits`
  // What was posted comes back after the end, too, and finds this false.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sterna::queue
