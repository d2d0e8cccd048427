#include "logs/function_logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace sterna::logs {
namespace {

// The writer lets records gather that long, so that a busy function costs one wake-up for many lines.
constexpr auto kGather = std::chrono::milliseconds(20);
constexpr auto kWriterPatience = std::chrono::seconds(10);
constexpr std::uint64_t kChunkBytes = 64U << 10;
constexpr std::uint64_t kRecordOverhead = 256;  // of one queued record beside its text

// Room for a million records a millisecond before the next run's sequences could meet this one's.
constexpr int kSequenceBitsPerMs = 20;

bool is_plain_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::ranges::all_of(id, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
}

bool passes(const Filter& filter, const Record& record) {
  if (record.stream == Stream::kInvocation && filter.show != Show::kLinesAndInvocations) return false;
  return (!filter.since || record.timestamp >= *filter.since) &&
         (filter.call_id.empty() || filter.call_id == record.call_id);
}

std::uint64_t queued_bytes(const Record& record) {
  return record.text.size() + kRecordOverhead;
}

}  // namespace

Subscription::Subscription(Subscription&& other) noexcept
    : logs_(std::exchange(other.logs_, nullptr)), id_(other.id_), start_(other.start_) {}

Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this != &other) {
    if (logs_ != nullptr) logs_->unfollow(id_);
    logs_ = std::exchange(other.logs_, nullptr);
    id_ = other.id_;
    start_ = other.start_;
  }
  return *this;
}

Subscription::~Subscription() {
  if (logs_ != nullptr) logs_->unfollow(id_);
}

Result<std::unique_ptr<FunctionLogs>> FunctionLogs::open(std::filesystem::path dir, Limits limits,
                                                         const Clock& clock) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return fail_errno(Component::kFunction, "making the folder of the function logs", error.value());
  const auto first_sequence = static_cast<std::uint64_t>(clock.wall().time_since_epoch().count())
                              << kSequenceBitsPerMs;
  return std::unique_ptr<FunctionLogs>(new FunctionLogs(std::move(dir), limits, first_sequence));
}

FunctionLogs::FunctionLogs(std::filesystem::path dir, Limits limits, std::uint64_t first_sequence)
    : dir_(std::move(dir)), limits_(limits), next_sequence_(first_sequence), writer_([this] { run(); }) {}

FunctionLogs::~FunctionLogs() {
  close();
  STERNA_ASSERT(followers_.empty());
}

void FunctionLogs::append(std::string_view function_id, Record record) {
  STERNA_ASSERT(is_plain_id(function_id));
  cut_text(record.text);
  record.sequence = next_sequence_++;
  if (!followers_.empty()) show_to_followers(function_id, record);
  queue(function_id, std::move(record));
}

bool FunctionLogs::shows_invocations(std::string_view function_id) const {
  return std::ranges::any_of(followers_, [&](const Follower& follower) {
    return !follower.ended && follower.filter.show == Show::kLinesAndInvocations &&
           follower.function_id == function_id;
  });
}

void FunctionLogs::show_invocation(std::string_view function_id, Record record) {
  record.stream = Stream::kInvocation;
  record.sequence = next_sequence_++;
  show_to_followers(function_id, record);
}

Record FunctionLogs::drop_notice(Record in_place_of, Lost lost, std::uint64_t lines) {
  std::string_view reason;
  switch (lost) {
    case Lost::kToFunction:
      reason = "the function wrote faster than its log could be stored";
      break;
    case Lost::kToSpace:
      reason = "the functions of its space together wrote faster than their logs could be stored";
      break;
    case Lost::kToServer:
      reason = "the server's functions together wrote faster than their logs could be stored";
      break;
    case Lost::kToTheEnd:
      reason = "the server was ending";
      break;
  }
  in_place_of.text = fmt::format("{} line{} dropped: {}", lines, lines == 1 ? "" : "s", reason);
  in_place_of.stream = Stream::kPlatform;
  in_place_of.call_id.clear();
  return in_place_of;
}

std::optional<FunctionLogs::Lost> FunctionLogs::loss_of(const Pending& pending, std::uint64_t bytes) const {
  if (closing_) return Lost::kToTheEnd;
  const auto of_space = pending_bytes_by_space_.find(pending.space);
  const QueueUse use{.of_function = pending.bytes,
                     .of_space = of_space == pending_bytes_by_space_.end() ? 0 : of_space->second,
                     .of_all = pending_bytes_};
  switch (room_for(bytes, use, limits_.queue)) {
    case Room::kFits:
      return std::nullopt;
    case Room::kFunctionIsOver:
      return Lost::kToFunction;
    case Room::kSpaceIsOver:
      return Lost::kToSpace;
    case Room::kServerIsOver:
      return Lost::kToServer;
  }
  return std::nullopt;
}

void FunctionLogs::queue(std::string_view function_id, Record record) {
  const std::uint64_t bytes = queued_bytes(record);
  const std::scoped_lock lock(mutex_);
  Pending& pending = pending_[std::string(function_id)];
  if (pending.bytes == 0) pending.space = record.space;
  if (const auto lost = loss_of(pending, bytes)) {
    ++dropped_;
    ++pending.dropped.at(static_cast<std::size_t>(*lost));
    record.text.clear();
    pending.last_dropped = std::move(record);
  } else {
    pending.records.push_back(std::move(record));
    pending.bytes += bytes;
    pending_bytes_ += bytes;
    pending_bytes_by_space_[pending.space] += bytes;
  }
  if (accepted_++ == written_) wake_writer_.notify_one();
}

void FunctionLogs::remove(std::string_view function_id) {
  STERNA_ASSERT(is_plain_id(function_id));
  end_followers(function_id);
  const std::scoped_lock lock(mutex_);
  Pending& pending = pending_[std::string(function_id)];
  pending_bytes_ -= pending.bytes;
  pending_bytes_by_space_[pending.space] -= pending.bytes;
  pending = Pending{};
  pending.remove_first = true;
  if (accepted_++ == written_) wake_writer_.notify_one();
}

void FunctionLogs::keep_only(std::map<std::string, std::string> spaces) {
  const std::scoped_lock lock(mutex_);
  living_ = std::move(spaces);
  if (accepted_++ == written_) wake_writer_.notify_one();
}

void FunctionLogs::close() {
  {
    const std::scoped_lock lock(mutex_);
    closing_ = true;
  }
  wake_writer_.notify_one();
  if (writer_.joinable()) writer_.join();
}

std::uint64_t FunctionLogs::dropped() const {
  const std::scoped_lock lock(mutex_);
  return dropped_;
}

Result<Subscription> FunctionLogs::follow(std::string_view function_id, Filter filter, Callback callback,
                                          std::function<void()> removed) {
  if (followers_.size() >= kMaxFollowers) {
    return fail(Code::kExhausted, Component::kFunction, "too_many_followers",
                "too many readers follow function logs; end one or try again later");
  }
  const std::uint64_t id = next_follower_++;
  followers_.push_back({id, next_sequence_, std::string(function_id), std::move(filter), std::move(callback),
                        std::move(removed), false});
  return Subscription(*this, id, next_sequence_);
}

void FunctionLogs::show_to_followers(std::string_view function_id, const Record& record) {
  STERNA_ASSERT(!showing_);  // a callback must not append
  showing_ = true;
  for (Follower& follower : followers_) {
    if (!follower.ended && follower.start <= record.sequence && follower.function_id == function_id &&
        passes(follower.filter, record)) {
      follower.callback(record);
    }
  }
  showing_ = false;
  followers_.remove_if([](const Follower& follower) { return follower.ended; });
}

void FunctionLogs::end_followers(std::string_view function_id) {
  STERNA_ASSERT(!showing_);
  std::list<Follower> of_it;
  for (auto each = followers_.begin(); each != followers_.end();) {
    const auto next = std::next(each);
    if (each->function_id == function_id) of_it.splice(of_it.end(), followers_, each);
    each = next;
  }
  for (const Follower& follower : of_it) follower.removed();
}

void FunctionLogs::unfollow(std::uint64_t id) {
  const auto found = std::ranges::find(followers_, id, &Follower::id);
  if (found == followers_.end()) return;
  // While a record is shown the list must stay as it is, and the callback may be the one that is running.
  found->ended = true;
  if (!showing_) followers_.erase(found);
}

Status FunctionLogs::wait_until_written() {
  std::unique_lock lock(mutex_);
  const std::uint64_t wanted = accepted_;
  if (written_ >= wanted || closing_) return {};
  hurry_ = true;
  wake_writer_.notify_one();
  const bool done = written_changed_.wait_for(lock, kWriterPatience, [&] { return written_ >= wanted; });
  if (done) return {};
  return fail(Code::kTimeout, Component::kFunction, "logs_not_ready",
              "the log's disk does not answer; try again");
}

Result<std::vector<Record>> FunctionLogs::query(std::string_view function_id, const Query& query) {
  if (!is_plain_id(function_id)) {
    return fail(Code::kNotFound, Component::kFunction, "function_not_found", "no function has this id");
  }
  if (Status written = wait_until_written(); !written) return std::unexpected(written.error());
  const std::size_t tail = std::min(query.tail, kMaxTail);
  std::vector<Record> found;
  const Status read = visit_lines_backwards(dir_ / function_id, [&](std::string_view line) {
    if (found.size() >= tail) return false;
    std::optional<Record> record = parse_stored_line(line);
    if (record && record->sequence < query.before && passes(query.filter, *record)) {
      found.push_back(std::move(*record));
    }
    return true;
  });
  if (!read) return std::unexpected(read.error());
  std::ranges::reverse(found);
  return found;
}

void FunctionLogs::run() {
  load_existing();
  std::unique_lock lock(mutex_);
  while (true) {
    wake_writer_.wait(lock, [this] { return accepted_ != written_ || closing_; });
    if (accepted_ == written_) return;
    wake_writer_.wait_for(lock, kGather, [this] { return hurry_ || closing_; });
    hurry_ = false;
    const std::uint64_t taken = accepted_;
    PendingMap batch = std::exchange(pending_, {});
    pending_bytes_ = 0;
    pending_bytes_by_space_.clear();
    auto living = std::exchange(living_, std::nullopt);
    lock.unlock();
    if (living) forget_others(std::move(*living));
    write_batch(batch);
    lock.lock();
    written_ = taken;
    written_changed_.notify_all();
  }
}

void FunctionLogs::load_existing() {
  std::error_code error;
  for (std::filesystem::directory_iterator at(dir_, error), end; !error && at != end; at.increment(error)) {
    const std::string id = at->path().filename().string();
    if (is_plain_id(id)) writers_.try_emplace(id, at->path(), limits_.bytes_per_function);
  }
  if (error) log::warn("cannot list the function logs", {{"error", error.message()}});
}

void FunctionLogs::write_batch(PendingMap& batch) {
  for (auto& [function_id, pending] : batch) {
    if (pending.remove_first) forget(function_id);
    write_function(function_id, pending);
  }
  keep_total();
}

void FunctionLogs::write_function(const std::string& function_id, Pending& pending) {
  for (std::size_t kind = 0; kind < kLostKinds; ++kind) {
    const std::uint64_t lines = pending.dropped.at(kind);
    if (lines > 0)
      pending.records.push_back(drop_notice(pending.last_dropped, static_cast<Lost>(kind), lines));
  }
  if (pending.records.empty()) return;
  spaces_[function_id] = pending.space;
  auto& writer =
      writers_.try_emplace(function_id, dir_ / function_id, limits_.bytes_per_function).first->second;
  const std::uint64_t chunk = std::min(kChunkBytes, writer.segment_limit() / 4);
  std::string lines;
  std::uint64_t count = 0;
  for (const Record& record : pending.records) {
    const std::string line = to_stored_line(record);
    if (!lines.empty() && lines.size() + line.size() > chunk) {
      write_lines(writer, lines, std::exchange(count, 0), record.timestamp);
      lines.clear();
    }
    lines += line;
    ++count;
  }
  write_lines(writer, lines, count, pending.records.back().timestamp);
}

void FunctionLogs::write_lines(SegmentWriter& writer, std::string_view lines, std::uint64_t count,
                               WallTime now) {
  const Status written = writer.append(lines, now);
  if (!written) {
    // One message for a disk that fails, not one a line.
    if (!disk_failing_) log::error("cannot write function logs", {{"error", written.error().detail}});
    const std::scoped_lock lock(mutex_);
    dropped_ += count;
  }
  disk_failing_ = !written;
}

void FunctionLogs::forget(const std::string& function_id) {
  writers_.erase(function_id);
  spaces_.erase(function_id);
  std::error_code error;
  std::filesystem::remove_all(dir_ / function_id, error);
  if (error)
    log::warn("cannot remove a function's log", {{"function", function_id}, {"error", error.message()}});
}

void FunctionLogs::forget_others(std::map<std::string, std::string> living) {
  std::vector<std::string> others;
  for (const auto& [id, writer] : writers_) {
    if (!living.contains(id)) others.push_back(id);
  }
  for (const std::string& id : others) forget(id);
  spaces_ = std::move(living);
}

// Of the space that has most, the function that does.
SegmentWriter* FunctionLogs::largest() {
  struct Share {
    std::uint64_t bytes = 0;
    SegmentWriter* largest = nullptr;
  };
  std::map<std::string_view, Share> shares;
  for (auto& [id, writer] : writers_) {
    const auto space = spaces_.find(id);
    Share& share = shares[space == spaces_.end() ? std::string_view() : std::string_view(space->second)];
    share.bytes += writer.bytes();
    if (share.largest == nullptr || writer.bytes() > share.largest->bytes()) share.largest = &writer;
  }
  const auto most =
      std::ranges::max_element(shares, {}, [](const auto& share) { return share.second.bytes; });
  return most == shares.end() ? nullptr : most->second.largest;
}

void FunctionLogs::keep_total() {
  std::uint64_t total = 0;
  for (const auto& [id, writer] : writers_) total += writer.bytes();
  while (total > limits_.bytes_total) {
    SegmentWriter* const most = largest();
    if (most == nullptr || most->segments().empty()) return;
    total -= most->segments().front().bytes;
    most->drop_oldest();
  }
}

}  // namespace sterna::logs
