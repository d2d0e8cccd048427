#include "queue/sqlite/sqlite_queue.h"

#include "queue/sqlite/io.h"
#include "store/migrations.h"

namespace sterna::queue::sqlite {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(100);
constexpr Millis kUnreadablePause = 1000;
constexpr std::size_t kReadAhead = 64;  // requests of one function that are read together
// A commit that has to write the log back makes all callers wait: seldom, then much at once.
constexpr store::DatabaseTuning kWriterTuning{
    .cache_kib = 16'000, .checkpoint_pages = 4'000, .log_limit_bytes = 64LL << 20U};
constexpr std::int64_t kReservedLog = 17LL << 20U;  // what is written between two write-backs

// As stored.
Millis due_of(const Submission& submission) {
  if (submission.turn == Turn::kAtOnce) return kDueAtOnce;
  if (submission.not_before <= submission.created_at) return 0;
  return to_millis(std::min(submission.not_before, submission.expires_at));
}

}  // namespace

// --- start and end ---

Result<std::unique_ptr<SqliteQueue>> SqliteQueue::open(const std::filesystem::path& file, net::Loop& loop,
                                                       net::BodyBudget& bodies, const QueueLimits& limits) {
  Databases databases;
  for (auto& database : databases) {
    auto opened = store::Database::open(
        file.string(), &database == databases.data() ? kWriterTuning : store::DatabaseTuning{});
    if (!opened) return std::unexpected(opened.error());
    database = std::move(*opened);
    if (const Status migrated = store::migrate(*database, schema_steps()); !migrated)
      return std::unexpected(migrated.error());
  }
  store::reserve_log(file.string(), kReservedLog);
  store::Database& reader = *databases[1];
  std::unique_ptr<SqliteQueue> queue(new SqliteQueue(std::move(databases), loop, bodies, limits));
  if (const Status restored = queue->restore(reader); !restored) return std::unexpected(restored.error());
  queue->tick();
  return queue;
}

SqliteQueue::SqliteQueue(Databases databases, net::Loop& loop, net::BodyBudget& bodies,
                         const QueueLimits& limits)
    : loop_(loop),
      bodies_(bodies),
      limits_(limits),
      opened_(loop.clock().now()),
      opened_at_(to_millis(loop.clock().wall())),
      reader_(std::move(databases[1])),
      answers_(std::make_shared<PartSource>(std::move(databases[2]))),
      writer_(std::make_unique<store::GroupCommit>(
          std::move(databases[0]),
          [this](std::vector<store::GroupCommit::Ended> batch) { deliver(std::move(batch)); })),
      reader_thread_(std::make_unique<net::Background>()) {}

SqliteQueue::~SqliteQueue() {
  *alive_ = false;
  loop_.cancel(timer_);
  reader_thread_.reset();
  writer_.reset();
}

Status SqliteQueue::restore(store::Database& database) {
  store::Statement lanes(database, "SELECT lane, function, space, name, space_made_at FROM lanes");
  std::vector<Lane*> known;
  for (Result<bool> row = lanes.step();; row = lanes.step()) {
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    FunctionName function{.id = lanes.text(1), .space = lanes.text(2), .name = lanes.text(3)};
    if (const auto at = lanes.optional_integer(4)) function.space_made_at = from_millis(*at);
    Lane& lane = schedule_.restore_lane(function, lanes.integer(0));
    lane.stored = true;
    known.push_back(&lane);
  }
  for (Lane* lane : known) {
    store::Statement waiting(database, kWaitingSql);
    waiting.bind(lane->key, StoredState::kDelayed);
    for (Result<bool> row = waiting.step();; row = waiting.step()) {
      if (!row) return std::unexpected(row.error());
      if (!*row) break;
      restore(*lane,
              {.seq = static_cast<std::uint64_t>(waiting.integer(0)),
               .kib = kib_of(static_cast<std::uint64_t>(waiting.integer(4))),
               .due = waiting.integer(2),
               .expires_at = waiting.integer(3)},
              waiting.integer(1));
    }
  }
  store::Statement callbacks(database, "SELECT seq, delivery_due FROM invocations WHERE delivery = 1");
  for (Result<bool> row = callbacks.step();; row = callbacks.step()) {
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    due_.add(static_cast<std::uint64_t>(callbacks.integer(0)),
             {.due = monotonic_of(callbacks.integer(1)), .since = loop_.clock().now()});
  }
  store::Statement newest(database, "SELECT max(seq) FROM invocations");
  if (const Result<bool> row = newest.step(); !row) return std::unexpected(row.error());
  first_seq_ = next_seq_ = static_cast<std::uint64_t>(newest.integer(0)) + 1;
  return {};
}

// `due` as stored; for what may run now the ticket says since when. Both clocks are the same then.
void SqliteQueue::restore(Lane& lane, Ticket ticket, Millis due) {
  if (due <= 0) return schedule_.add_ready(lane, ticket, due == kDueAtOnce ? Turn::kAtOnce : Turn::kInLine);
  ticket.due = due;
  schedule_.add_delayed(lane, ticket);
}

std::vector<FunctionName> SqliteQueue::functions() const {
  std::vector<FunctionName> names;
  for (const auto& [id, lane] : schedule_.lanes()) names.push_back(lane->function);
  return names;
}

void SqliteQueue::deliver(std::vector<store::GroupCommit::Ended> batch) {
  loop_.post([alive = alive_, batch = std::move(batch)] {
    if (!*alive) return;
    for (const store::GroupCommit::Ended& ended : batch) ended.write->done(ended.status);
  });
}

// Delays are looked at by the wall clock again and again: it may jump.
void SqliteQueue::tick() {
  if (schedule_.promote(both())) tell_ready();
  for (const Receipt& receipt : schedule_.overdue(loop_.clock().now())) {
    if (settling_.contains(receipt.seq)) continue;
    schedule_.put_back(receipt.seq, 0);
    if (observer_ != nullptr) observer_->on_revoked(receipt, kLeaseOver);
    tell_ready();
  }
  schedule_.set_aside_expired(age());
  expire();
  if (due_.any_due(loop_.clock().now())) delivery_wanted_();
  if (loop_.clock().now() >= next_sweep_ && !sweeping_) sweep();
  timer_ = loop_.after(kTick, [this] { tick(); });
}

void SqliteQueue::tell_ready() {
  if (observer_ != nullptr) observer_->on_ready();
}

// --- enqueue ---

void SqliteQueue::enqueue(Submission submission, Done<Accepted> done) {
  Lane& lane = schedule_.lane(submission.function);
  if (lane.forgotten) return done(function_gone());
  std::optional<Error> full;
  if (submission.turn == Turn::kInLine) full = no_room(lane, submission.space_backlog);
  if (full && !submission.idempotency) return done(std::unexpected(std::move(*full)));
  if (writer_->waiting() >= limits_.unwritten) {
    return done(fail(Code::kUnavailable, Component::kQueue, "queue_unavailable",
                     "the disk does not keep up; nothing was accepted, try again later"));
  }
  struct Call {
    Submission submission;
    std::optional<Error> full;  // only what is known already may be answered
    Accepted accepted;
    Done<Accepted> done;
  };
  const std::uint64_t seq = next_seq_++;
  const Millis due = due_of(submission);
  if (!lane.function.space_made_at && submission.function.space_made_at) {
    lane.function = submission.function;  // its row is from an older release
    lane.stored = false;
  }
  auto call = std::make_unique<Call>(Call{
      .submission = std::move(submission), .full = std::move(full), .accepted = {}, .done = std::move(done)});
  Call& in = *call;
  const std::size_t weight =
      in.submission.request.size() + static_cast<std::size_t>(in.submission.body.size());
  if (!in.full) schedule_.expect(lane);
  write(
      weight,
      [&in, key = lane.key, stored = lane.stored, seq, due](store::Database& database) {
        if (in.full) return find_accepted(database, key, in.submission, in.accepted);
        return insert(database, {.lane = key, .lane_stored = stored, .seq = seq, .due = due}, in.submission,
                      in.accepted);
      },
      [this, call = std::move(call), seq, due](const Status& status) {
        Lane* lane = schedule_.find_lane(call->submission.function.id);
        if (lane != nullptr && !call->full) schedule_.arrived(*lane);
        // What was written is cancelled with the rest.
        if (lane == nullptr || lane->forgotten) return call->done(function_gone());
        if (!status && status.error().reason == "already_exists") return call->done(call_id_in_use());
        if (!status && call->full && status.error().code == Code::kNotFound)
          return call->done(std::unexpected(*call->full));
        if (!status) return call->done(std::unexpected(unavailable(status.error())));
        if (!call->full) lane->stored = true;
        if (!call->accepted.repeated && observer_ != nullptr) observer_->on_accepted(lane->function);
        if (!call->accepted.repeated) accepted(call->submission, *lane, seq, due);
        call->done(std::move(call->accepted));
      });
}

// Why the backlog takes no more; nullopt: it does. What is on its way to the disk takes room already.
std::optional<Error> SqliteQueue::no_room(const Lane& lane, std::optional<std::size_t> space_backlog) const {
  const Space& space = *lane.space;
  if (lane.waiting + lane.arriving >= limits_.function_backlog) return backlog_full("function").error();
  if (space.waiting + space.arriving >= space_backlog.value_or(limits_.space_backlog))
    return backlog_full("space").error();
  return std::nullopt;
}

void SqliteQueue::accepted(Submission& submission, Lane& lane, std::uint64_t seq, Millis due) {
  Ticket ticket{.seq = seq,
                .kib = kib_of(submission.body.size()),
                .due = due,
                .expires_at = to_millis(submission.expires_at)};
  if (due > 0) {
    schedule_.add_delayed(lane, ticket);
  } else {
    ticket.due = to_millis(submission.created_at);
    ticket.expires_at += age() - ticket.due;
    schedule_.add_ready(lane, ticket, submission.turn);
  }
  if (due <= 0 && is_inline(submission.body)) {
    keep(seq, Loaded{.id = submission.id,
                     .request = std::move(submission.request),
                     .body = std::move(submission.body),
                     .max_attempts = submission.max_attempts,
                     .callback_url = std::move(submission.callback_url),
                     .created_at = to_millis(submission.created_at)});
  }
  tell_ready();
}

bool SqliteQueue::keep(std::uint64_t seq, Loaded loaded) {
  const std::size_t bytes = loaded.bytes();
  if (kept_bytes_ + bytes > limits_.memory_bytes) return false;
  kept_bytes_ += bytes;
  kept_.emplace(seq, std::move(loaded));
  return true;
}

std::optional<Loaded> SqliteQueue::take_kept(std::uint64_t seq) {
  const auto found = kept_.find(seq);
  if (found == kept_.end()) return std::nullopt;
  Loaded loaded = std::move(found->second);
  kept_bytes_ -= loaded.bytes();
  kept_.erase(found);
  return loaded;
}

// It will not be run: neither what is in memory nor what is being read ahead is wanted.
void SqliteQueue::drop_kept(std::uint64_t seq) {
  take_kept(seq);
  const auto ahead = loading_.find(seq);
  if (ahead != loading_.end() && ahead->second.empty()) loading_.erase(ahead);
}

// --- take ---

bool SqliteQueue::take(Turn turn, const MayRun& may_run, Duration lease, Done<Lease> done) {
  const Leased* held = schedule_.take(turn, may_run, loop_.clock().now() + lease, both());
  expire();
  if (held == nullptr) return false;
  const Receipt receipt{.seq = held->ticket.seq, .epoch = held->epoch};
  if (std::optional<Loaded> kept = take_kept(receipt.seq)) {
    done(lease_of(*held, std::move(*kept)));
  } else {
    load(receipt, *held->lane, std::move(done));
  }
  return true;
}

Lease SqliteQueue::lease_of(const Leased& held, Loaded loaded) const {
  return {.receipt = {.seq = held.ticket.seq, .epoch = held.epoch},
          .function = held.lane->function,
          .id = std::move(loaded.id),
          .request = std::move(loaded.request),
          .body = std::move(loaded.body),
          .created_at = from_millis(loaded.created_at),
          .expires_at = loop_.clock().now() + std::chrono::milliseconds(held.ticket.expires_at - age()),
          .attempt = loaded.attempt_count + 1,
          .spent = loaded.spent,
          .max_attempts = loaded.max_attempts,
          .callback_url = std::move(loaded.callback_url),
          .turn = held.turn};
}

// Reads the request, and those that come after it in the same lane.
void SqliteQueue::load(const Receipt& receipt, const Lane& lane, Done<Lease> done) {
  const bool on_its_way = loading_.contains(receipt.seq);
  loading_[receipt.seq].push_back({receipt, std::move(done)});
  if (on_its_way) return;
  std::vector<std::uint64_t> wanted{receipt.seq};
  for (const Ticket& next : lane.ready) {
    if (wanted.size() >= kReadAhead || kept_bytes_ >= limits_.memory_bytes) break;
    if (kept_.contains(next.seq) || !loading_.try_emplace(next.seq).second) continue;
    wanted.push_back(next.seq);
  }
  read(
      [this, wanted = std::move(wanted)](store::Database& database) {
        std::vector<std::pair<std::uint64_t, Result<Loaded>>> rows;
        for (const std::uint64_t seq : wanted) rows.emplace_back(seq, load_request(database, seq, bodies_));
        return rows;
      },
      [this](auto rows) { on_loaded(std::move(rows)); });
}

void SqliteQueue::on_loaded(std::vector<std::pair<std::uint64_t, Result<Loaded>>> rows) {
  for (auto& [seq, loaded] : rows) {
    auto node = loading_.extract(seq);
    if (node.empty()) continue;  // dropped meanwhile
    if (node.mapped().empty() && loaded) {
      keep(seq, std::move(*loaded));
      continue;
    }
    bool used = false;
    for (Awaiting& waiter : node.mapped()) {
      const Leased* held = schedule_.leased(waiter.receipt);
      if (held == nullptr || used) {
        if (held != nullptr) schedule_.put_back(seq, 0);
        waiter.done(ended_meanwhile());
      } else if (loaded) {
        used = true;
        waiter.done(lease_of(*held, std::move(*loaded)));
      } else {
        const bool gone = loaded.error().code == Code::kNotFound;
        if (gone) {
          schedule_.end(seq);
        } else {
          schedule_.put_back(seq, age() + kUnreadablePause);
        }
        waiter.done(std::unexpected(gone ? loaded.error() : unavailable(loaded.error())));
      }
    }
  }
}

void SqliteQueue::wake(const std::string& function_id) {
  if (Lane* lane = schedule_.find_lane(function_id)) schedule_.wake(*lane);
}

Status SqliteQueue::renew(const Receipt& receipt, Duration lease) {
  Leased* held = schedule_.leased(receipt);
  if (held == nullptr) return stale_receipt();
  held->until = loop_.clock().now() + lease;
  return {};
}

Depth SqliteQueue::depth(const std::string& function_id) const {
  const auto found = schedule_.lanes().find(function_id);
  if (found == schedule_.lanes().end()) return {};
  const Lane& lane = *found->second;
  Depth depth{.waiting = lane.waiting, .leased = lane.leased.size(), .running = 0, .oldest = {}};
  std::optional<Millis> oldest = schedule_.oldest(lane);
  for (const std::uint64_t seq : lane.leased) {
    const Leased& held = *schedule_.leased(seq);
    if (is_running(held)) {
      ++depth.running;
    } else {
      oldest = std::min(oldest.value_or(held.ticket.due), held.ticket.due);
    }
  }
  depth.oldest = oldest.transform(from_millis);
  return depth;
}

// One that has ended runs until that is on disk.
bool SqliteQueue::is_running(const Leased& held) const {
  const std::uint64_t seq = held.ticket.seq;
  return settling_.contains(seq) ||
         (observer_ != nullptr && observer_->is_running({.seq = seq, .epoch = held.epoch}));
}

}  // namespace sterna::queue::sqlite
