// What functions print, kept on disk within limits, readable and followable (SPEC 3, GET {fn}/logs).
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "logs/queue_shares.h"
#include "logs/record.h"
#include "logs/segments.h"

namespace sterna::logs {

struct Limits {
  std::uint64_t bytes_per_function = 4U << 20;
  // Of all functions. What goes beyond it is taken from who has most: from the space, and in it the function.
  std::uint64_t bytes_total = 1U << 30;
  QueueLimits queue{};  // of what waits for the disk
};

inline constexpr std::size_t kDefaultTail = 1'000;
inline constexpr std::size_t kMaxTail = 10'000;
inline constexpr std::size_t kMaxFollowers = 1'024;

// Invocations are shown to followers only, never kept.
enum class Show : std::uint8_t { kLines, kLinesAndInvocations };

struct Filter {
  std::optional<WallTime> since;  // records at or after
  std::string call_id;            // empty: all
  Show show = Show::kLines;
};

struct Query {
  Filter filter;
  std::size_t tail = kDefaultTail;  // the newest so many that pass the filter; cut to kMaxTail
  // Only records with a lower sequence. With Subscription::start() a reader goes from the past to the present
  // without missing or repeating a record.
  std::uint64_t before = std::numeric_limits<std::uint64_t>::max();
};

class FunctionLogs;

// Ends a `follow` when destroyed. Event loop only; must not outlive its FunctionLogs.
class Subscription {
 public:
  Subscription(Subscription&& other) noexcept;
  Subscription& operator=(Subscription&& other) noexcept;
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;
  ~Subscription();

  // The sequence of the first record that the callback can see.
  std::uint64_t start() const { return start_; }

 private:
  friend class FunctionLogs;
  Subscription(FunctionLogs& logs, std::uint64_t id, std::uint64_t start)
      : logs_(&logs), id_(id), start_(start) {}

  FunctionLogs* logs_;
  std::uint64_t id_;
  std::uint64_t start_;
};

// One writer thread serves all functions: `<dir>/<function id>/NNNN.ndjson`. Records are not fsynced: a crash
// of the machine may lose the last ones, a crash of the server loses what was queued.
class FunctionLogs {
 public:
  using Callback = std::function<void(const Record&)>;

  // Makes `dir` and starts the writer. Fails with io. `clock` is read once: sequences go on from it.
  static Result<std::unique_ptr<FunctionLogs>> open(std::filesystem::path dir, Limits limits,
                                                    const Clock& clock);
  ~FunctionLogs();
  FunctionLogs(const FunctionLogs&) = delete;
  FunctionLogs& operator=(const FunctionLogs&) = delete;

  // Queues a record and shows it to followers before it returns. Never waits for the disk: what the queue
  // cannot hold is dropped, and a platform record in its place says how many were, and who wrote too fast.
  // `function_id` is letters, digits, '-', '_'. Event loop only.
  void append(std::string_view function_id, Record record);

  // Whether a follower wants the invocations of the function. Event loop only.
  bool shows_invocations(std::string_view function_id) const;
  // Shows a record of an invocation to those followers. Event loop only.
  void show_invocation(std::string_view function_id, Record record);

  // Calls `callback` from within `append` for each new record that passes; it may end subscriptions, its own
  // too. Calls `removed` from within `remove`, when the subscription has ended. Fails with exhausted, reason
  // `too_many_followers`. Event loop only.
  Result<Subscription> follow(
      std::string_view function_id, Filter filter, Callback callback, std::function<void()> removed = [] {});

  // The records that pass, oldest first, with all that were appended before the call. Reads files: not on the
  // event loop. Fails with io, with not_found for an id that cannot be one, with timeout when the writer is
  // stuck for 10 s.
  Result<std::vector<Record>> query(std::string_view function_id, const Query& query);

  // Forgets all records of a function and ends its followers; its files are removed by the writer soon after.
  // Event loop only.
  void remove(std::string_view function_id);

  // The functions that there are, each with its space: logs of others, which the last server left when it
  // died, are removed soon after. Call once, before the first `append`. Event loop only.
  void keep_only(std::map<std::string, std::string> spaces);

  // Writes what is queued and ends the writer; records appended later are counted as dropped. Waits for the
  // disk. Idempotent.
  void close();

  // Lines lost since the start, over all functions. Any thread.
  std::uint64_t dropped() const;

 private:
  friend class Subscription;

  enum class Lost : std::uint8_t { kToFunction, kToSpace, kToServer, kToTheEnd };  // whose fault it is
  static constexpr std::size_t kLostKinds = 4;

  struct Pending {
    bool remove_first = false;
    std::string space;
    std::vector<Record> records;
    std::uint64_t bytes = 0;
    std::array<std::uint64_t, kLostKinds> dropped{};
    Record last_dropped;  // without its text; the records that tell of the drop take its place
  };
  using PendingMap = std::unordered_map<std::string, Pending>;

  struct Follower {
    std::uint64_t id = 0;
    std::uint64_t start = 0;
    std::string function_id;
    Filter filter;
    Callback callback;
    std::function<void()> removed;
    bool ended = false;
  };

  FunctionLogs(std::filesystem::path dir, Limits limits, std::uint64_t first_sequence);

  void queue(std::string_view function_id, Record record);
  std::optional<Lost> loss_of(const Pending& pending, std::uint64_t bytes) const;
  static Record drop_notice(Record in_place_of, Lost lost, std::uint64_t lines);
  void show_to_followers(std::string_view function_id, const Record& record);
  void end_followers(std::string_view function_id);
  void unfollow(std::uint64_t id);
  Status wait_until_written();

  // The writer thread.
  void run();
  void load_existing();
  void write_batch(PendingMap& batch);
  void write_function(const std::string& function_id, Pending& pending);
  void write_lines(SegmentWriter& writer, std::string_view lines, std::uint64_t count, WallTime now);
  void forget(const std::string& function_id);
  void forget_others(std::map<std::string, std::string> living);
  void keep_total();
  SegmentWriter* largest();

  const std::filesystem::path dir_;
  const Limits limits_;

  mutable std::mutex mutex_;  // guards the next members; never held while the disk is touched
  std::condition_variable wake_writer_;
  std::condition_variable written_changed_;
  PendingMap pending_;
  std::uint64_t pending_bytes_ = 0;
  std::unordered_map<std::string, std::uint64_t> pending_bytes_by_space_;
  std::optional<std::map<std::string, std::string>> living_;  // for the writer to take
  std::uint64_t accepted_ = 0;                                // changes handed to the writer, counted
  std::uint64_t written_ = 0;                                 // of these, done
  std::uint64_t dropped_ = 0;
  bool hurry_ = false;  // somebody waits: do not gather
  bool closing_ = false;

  // Event loop only.
  std::uint64_t next_sequence_;
  std::uint64_t next_follower_ = 1;
  std::list<Follower> followers_;
  bool showing_ = false;

  // Writer thread only.
  std::map<std::string, SegmentWriter> writers_;
  std::map<std::string, std::string> spaces_;  // of those functions, as far as they are known
  bool disk_failing_ = false;

  std::thread writer_;
};

}  // namespace sterna::logs
