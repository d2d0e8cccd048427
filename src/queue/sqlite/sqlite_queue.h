// The queue of one node, in SQLite: a write is answered when it is on disk, many share one wait for it. What
// waits is known in memory by number, leases only there: after a restart all that is not settled waits again.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "net/background.h"
#include "net/loop.h"
#include "queue/invocations.h"
#include "queue/lease_queue.h"
#include "queue/limits.h"
#include "queue/outbox.h"
#include "queue/sqlite/due.h"
#include "queue/sqlite/rows.h"
#include "queue/sqlite/schedule.h"
#include "store/group_commit.h"

namespace sterna::queue::sqlite {

// The parts live longer: loop, bodies.
class SqliteQueue final : public LeaseQueue, public Outbox, public Invocations {
 public:
  // Opens or creates the database file. Fails with io or conflict when it cannot be used.
  static Result<std::unique_ptr<SqliteQueue>> open(const std::filesystem::path& file, net::Loop& loop,
                                                   net::BodyBudget& bodies, const QueueLimits& limits);
  // Writes what is queued. The loop runs no more; nobody is answered.
  ~SqliteQueue() override;

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
  std::size_t pending_deliveries() const override { return due_.size() + postponed_; }

  // Invocations
  void find(const std::string& function_id, const std::string& id, Done<Record> done) override;
  void list(const std::string& function_id, const Filter& filter, std::size_t limit,
            const std::string& cursor, Done<Listing> done) override;
  void answer(const std::string& function_id, const std::string& id, Done<StoredAnswer> done) override;

  // How the disk takes what is written (store/group_commit.h).
  const store::GroupCommit& writer() const { return *writer_; }
  void try_write() { writer_->try_write(); }

  // The functions that have invocations here, for a start: those that are gone are to be forgotten.
  std::vector<FunctionName> functions() const;

 private:
  struct Awaiting {
    Receipt receipt;
    Done<Lease> done;
  };
  struct Found {
    std::uint64_t seq = 0;
    StoredState state{};
    Delivery delivery{};
    bool has_callback = false;
    std::uint64_t body_bytes = 0;
  };
  using Databases = std::array<std::unique_ptr<store::Database>, 3>;  // writer, reader, answers

  SqliteQueue(Databases databases, net::Loop& loop, net::BodyBudget& bodies, const QueueLimits& limits);
  Status restore(store::Database& database);

  template <class Apply, class Answer>
  void write(std::size_t weight, Apply apply, Answer answer);
  template <class Read, class Answer>
  void read(Read read, Answer answer);
  void find_then(const std::string& function_id, const std::string& id, Done<Found> done);
  void deliver(std::vector<store::GroupCommit::Ended> batch);

  Millis now() const { return to_millis(loop_.clock().wall()); }
  Millis age() const { return opened_at_ + (loop_.clock().now() - opened_) / std::chrono::milliseconds(1); }
  Now both() const { return {.wall = now(), .age = age()}; }
  MonotonicTime monotonic_of(Millis wall) const {
    return loop_.clock().now() + std::chrono::milliseconds(wall - now());
  }
  void tick();
  void sweep();
  void after_sweep(const struct Swept& swept);
  void tell_ready();
  void restore(Lane& lane, Ticket ticket, Millis due);
  void accepted(Submission& submission, Lane& lane, std::uint64_t seq, Millis due);
  std::optional<Error> no_room(const Lane& lane, std::optional<std::size_t> space_backlog) const;
  void take_out(Lane& lane, const Ticket& ticket, std::string_view reason);
  std::optional<Interruption> interruption_of(std::uint64_t seq);
  bool is_running(const Leased& held) const;
  bool keep(std::uint64_t seq, Loaded loaded);
  std::optional<Loaded> take_kept(std::uint64_t seq);
  void drop_kept(std::uint64_t seq);
  std::optional<DueDelivery> take_kept_delivery(std::uint64_t seq);
  void set_due(std::uint64_t seq);
  void due_now(std::uint64_t seq);
  bool end_superseded(std::uint64_t seq);
  Lease lease_of(const Leased& held, Loaded loaded) const;
  void load(const Receipt& receipt, const Lane& lane, Done<Lease> done);
  void on_loaded(std::vector<std::pair<std::uint64_t, Result<Loaded>>> rows);
  struct Expiry;
  void expire();
  void on_expired(const std::vector<Expiry>& batch, const Status& status);
  struct Ending;
  void write_ending(std::unique_ptr<Ending> ending);
  void on_ending(std::unique_ptr<Ending> ending, const Status& status);
  void keep_delivery(std::uint64_t seq, const Lane& lane, struct SettledRow& row,
                     const Settlement& settlement);
  void settled(const FunctionName& function, const std::string& id, State state, std::string_view reason,
               Delivery callback);

  net::Loop& loop_;
  net::BodyBudget& bodies_;
  const QueueLimits limits_;
  const MonotonicTime opened_;
  const Millis opened_at_;  // by the wall clock: what is on disk has no other age
  QueueObserver* observer_ = nullptr;
  std::function<void()> delivery_wanted_ = [] {};
  Schedule schedule_;
  DueList due_;  // callbacks
  std::uint64_t next_seq_ = 1;
  std::uint64_t first_seq_ = 1;                     // what is older is of a server before
  std::unordered_map<std::uint64_t, Loaded> kept_;  // requests that need not be read again
  std::size_t kept_bytes_ = 0;
  std::unordered_map<std::uint64_t, DueDelivery> kept_deliveries_;  // that need not be read
  std::size_t kept_delivery_bytes_ = 0;
  // Callbacks that are being sent while their invocation is run again, and whether a new one waits for their
  // end already.
  std::unordered_map<std::uint64_t, bool> superseded_;
  std::size_t postponed_ = 0;  // how many wait so
  std::unordered_map<std::uint64_t, std::vector<Awaiting>> loading_;
  std::unordered_set<std::uint64_t> settling_;  // their lease does not run out while they are written
  bool expiring_ = false;                       // some expired ones are on their way to the disk
  net::Loop::TimerId timer_;
  std::uint64_t sweep_cursor_ = 0;  // of what is too old
  // Of what goes because there is too much: first without what an idempotency key stands for, then with it.
  std::uint64_t size_cursor_ = 0;
  bool spares_keys_ = true;
  bool sweeping_ = false;
  MonotonicTime next_sweep_;
  // Jobs that come back after the end find this false.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  std::unique_ptr<store::Database> reader_;  // reader thread only
  std::shared_ptr<PartSource> answers_;
  std::unique_ptr<store::GroupCommit> writer_;
  std::unique_ptr<net::Background> reader_thread_;
};

}  // namespace sterna::queue::sqlite
