#include "store/group_commit.h"

#include <malloc.h>

#include <algorithm>
#include <iterator>

#include "base/log.h"
#include "store/statement.h"

namespace sterna::store {
namespace {

constexpr std::size_t kMaxBatch = 1024;             // writes
constexpr std::size_t kMaxBatchBytes = 16U << 20U;  // one write may be larger
constexpr std::int64_t kWorthGiving = 2 << 20;      // of the cache; less is kept

// Failures that say nothing about the rest of the batch.
bool harmless(const Status& status) {
  return status || status.error().code == Code::kConflict || status.error().code == Code::kInvalid ||
         status.error().code == Code::kNotFound;
}

class Touch final : public Write {
 public:
  Status apply(Database& database) override { return database.touch(); }
  void done(const Status&) override {}
};

}  // namespace

GroupCommit::GroupCommit(std::unique_ptr<Database> database, Deliver deliver, Duration idle)
    : database_(std::move(database)),
      deliver_(std::move(deliver)),
      idle_(idle),
      thread_([this] { work(); }) {}

GroupCommit::~GroupCommit() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void GroupCommit::submit(std::unique_ptr<Write> write) {
  bool was_empty = false;
  {
    const std::scoped_lock lock(mutex_);
    was_empty = queued_.empty();
    queued_bytes_ += write->weight();
    queued_.push_back(std::move(write));
  }
  if (was_empty) wake_.notify_one();
}

std::size_t GroupCommit::waiting_bytes() const {
  const std::scoped_lock lock(mutex_);
  return queued_bytes_;
}

std::size_t GroupCommit::waiting() const {
  const std::scoped_lock lock(mutex_);
  return queued_.size();
}

void GroupCommit::try_write() {
  submit(std::make_unique<Touch>());
}

std::optional<MonotonicTime> GroupCommit::writing_since() const {
  const std::scoped_lock lock(mutex_);
  return writing_since_;
}

void GroupCommit::wait(std::unique_lock<std::mutex>& lock) {
  const auto is_wanted = [this] { return ending_ || !queued_.empty(); };
  if (wake_.wait_for(lock, idle_, is_wanted)) return;
  lock.unlock();
  if (database_->cache_bytes() >= kWorthGiving) {
    database_->release_cache();
    malloc_trim(0);
  }
  lock.lock();
  wake_.wait(lock, is_wanted);
}

std::vector<GroupCommit::Ended> GroupCommit::take_batch() {
  std::unique_lock lock(mutex_);
  writing_since_.reset();
  wait(lock);
  std::size_t count = 0;
  std::size_t bytes = 0;
  while (count < queued_.size() && count < kMaxBatch && (count == 0 || bytes < kMaxBatchBytes)) {
    bytes += queued_[count++]->weight();
  }
  std::vector<Ended> batch;
  batch.reserve(count);
  for (std::size_t i = 0; i < count; ++i) batch.push_back({std::move(queued_[i]), {}});
  queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(count));
  queued_bytes_ -= bytes;
  if (count > 0) writing_since_ = SystemClock().now();
  return batch;
}

void GroupCommit::work() {
  while (true) {
    std::vector<Ended> batch = take_batch();
    if (batch.empty()) return;
    run(batch);
    deliver_(std::move(batch));
  }
}

void GroupCommit::run(std::vector<Ended>& batch) {
  const bool was_in_trouble = database_->write_trouble().has_value();
  const Status committed = run_all(batch);
  if (committed) return;
  if (!was_in_trouble) {
    log::warn("a batch of writes was undone", {{"writes", static_cast<std::int64_t>(batch.size())},
                                               {"detail", std::string_view(committed.error().detail)}});
  }
  for (Ended& ended : batch) ended.status = committed;
}

Status GroupCommit::run_all(std::vector<Ended>& batch) {
  return transact(*database_, [&]() -> Status {
    for (Ended& ended : batch) {
      ended.status = ended.write->apply(*database_);
      if (!harmless(ended.status)) return ended.status;
    }
    return {};
  });
}

}  // namespace sterna::store
