// Writes of many callers in one transaction: one wait for the disk serves all that has gathered.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "store/database.h"

namespace sterna::store {

// One caller's change. Made by the caller, run on the writer's thread, handed back and destroyed where
// `Deliver` brings it.
class Write {
 public:
  virtual ~Write() = default;
  // Changes the database inside the transaction. May fail with conflict, invalid or not_found only as long as
  // it has changed nothing; any other failure undoes the writes of the whole batch.
  virtual Status apply(Database& database) = 0;
  // The outcome: of `apply`, or of the batch that could not be committed. After success the change is on
  // disk.
  virtual void done(const Status& status) = 0;
  // Bytes that it brings, so that a batch stays small enough.
  virtual std::size_t weight() const { return 0; }
};

class GroupCommit {
 public:
  struct Ended {
    std::unique_ptr<Write> write;
    Status status;
  };
  // Takes a batch that has ended to the thread where `done` is to be called. Called on the writer's thread.
  using Deliver = std::function<void(std::vector<Ended>)>;

  // When nothing was written for `idle`, pages that were kept to be quick are given back, if they are many.
  GroupCommit(std::unique_ptr<Database> database, Deliver deliver,
              Duration idle = std::chrono::milliseconds(500));
  // Runs what is queued, then ends.
  ~GroupCommit();
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;

  // Queues a write; writes are applied in the order of their submission. Any thread.
  void submit(std::unique_ptr<Write> write);

  // Bytes and writes that wait. Any thread.
  std::size_t waiting_bytes() const;
  std::size_t waiting() const;

  // Why the last batch could not be written, when the disk was the reason. Any thread.
  std::optional<Error> write_trouble() const { return database_->write_trouble(); }
  // Queues a write that changes nothing, to see whether the disk takes writes again. Any thread.
  void try_write();
  // Since when the batch that is being written is with the disk; none when nothing is written. Any thread.
  std::optional<MonotonicTime> writing_since() const;

 private:
  void work();
  void wait(std::unique_lock<std::mutex>& lock);
  std::vector<Ended> take_batch();
  void run(std::vector<Ended>& batch);
  Status run_all(std::vector<Ended>& batch);

  const std::unique_ptr<Database> database_;
  const Deliver deliver_;
  const Duration idle_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Write>> queued_;  // guarded by mutex_
  std::size_t queued_bytes_ = 0;                // guarded by mutex_
  std::optional<MonotonicTime> writing_since_;  // guarded by mutex_
  bool ending_ = false;                         // guarded by mutex_
  std::thread thread_;                          // last: it uses the others
};

}  // namespace sterna::store
