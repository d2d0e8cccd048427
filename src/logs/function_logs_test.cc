#include "logs/function_logs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <optional>

#include "base/unique_fd.h"
#include "logs/temporary_folder.h"

namespace sterna::logs {
namespace {

constexpr QueueLimits kSmallQueue{.bytes = 64'000, .bytes_for_each = 1'000};

class FunctionLogsTest : public testing::Test {
 protected:
  void open(Limits limits = {}) {
    logs_.reset();
    auto opened = FunctionLogs::open(folder_.path(), limits, clock_);
    ASSERT_TRUE(opened);
    logs_ = std::move(*opened);
  }

  Record record(std::string text, std::string call_id = "") {
    return {"hello", "instance", clock_.wall(), std::move(text), Stream::kStdout, std::move(call_id)};
  }

  Record record_of(std::string space, std::string text) {
    Record made = record(std::move(text));
    made.space = std::move(space);
    return made;
  }

  std::vector<std::string> texts(std::string_view id, const Query& query = {}) {
    const auto found = logs_->query(id, query);
    EXPECT_TRUE(found) << (found ? "" : found.error().detail);
    std::vector<std::string> texts;
    if (!found) return texts;
    for (const Record& each : *found) texts.push_back(each.text);
    return texts;
  }

  using Texts = std::vector<std::string>;

  TemporaryFolder folder_;
  ManualClock clock_;
  std::unique_ptr<FunctionLogs> logs_;
};

TEST_F(FunctionLogsTest, AQuerySeesAllThatWasAppendedBefore) {
  open();
  for (int i = 0; i < 300; ++i) {
    logs_->append("f", record(std::to_string(i)));
    const Texts seen = texts("f", {.filter = {}, .tail = 1});
    ASSERT_EQ(seen, Texts{std::to_string(i)});
  }
  EXPECT_TRUE(texts("another").empty());
  EXPECT_EQ(logs_->dropped(), 0U);
}

TEST_F(FunctionLogsTest, FiltersByTimeCallAndTail) {
  open();
  logs_->append("f", record("first", "A"));
  clock_.advance(std::chrono::seconds(1));
  const WallTime second = clock_.wall();
  logs_->append("f", record("second", "B"));
  logs_->append("f", record("third", "A"));
  EXPECT_EQ(texts("f"), (Texts{"first", "second", "third"}));
  EXPECT_EQ(texts("f", {.filter = {.since = second, .call_id = ""}}), (Texts{"second", "third"}));
  EXPECT_EQ(texts("f", {.filter = {.since = {}, .call_id = "A"}}), (Texts{"first", "third"}));
  EXPECT_EQ(texts("f", {.filter = {.since = second, .call_id = "A"}}), Texts{"third"});
  EXPECT_EQ(texts("f", {.filter = {}, .tail = 2}), (Texts{"second", "third"}));
  EXPECT_TRUE(texts("f", {.filter = {}, .tail = 0}).empty());
}

TEST_F(FunctionLogsTest, AnswersAtMostTheNewestTenThousand) {
  open();
  for (int i = 0; i < 10'100; ++i) logs_->append("f", record(std::to_string(i)));
  EXPECT_EQ(texts("f").size(), kDefaultTail);
  const Texts most = texts("f", {.filter = {}, .tail = 1'000'000});
  ASSERT_EQ(most.size(), kMaxTail);
  EXPECT_EQ(most.front(), "100");
  EXPECT_EQ(most.back(), "10099");
}

TEST_F(FunctionLogsTest, ClosingWritesWhatIsQueuedAndAnotherRunReadsIt) {
  open();
  logs_->append("f", record("before"));
  logs_->close();
  logs_->close();
  logs_->append("f", record("too late"));
  EXPECT_EQ(logs_->dropped(), 1U);
  open();
  logs_->append("f", record("after"));
  EXPECT_EQ(texts("f"), (Texts{"before", "after"}));
}

TEST_F(FunctionLogsTest, SequencesGrowAcrossRuns) {
  open();
  for (int i = 0; i < 100; ++i) logs_->append("f", record("line"));
  clock_.advance(std::chrono::milliseconds(1));
  open();
  for (int i = 0; i < 100; ++i) logs_->append("f", record("line"));
  const auto found = logs_->query("f", {});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 200U);
  for (std::size_t i = 1; i < found->size(); ++i) EXPECT_LT((*found)[i - 1].sequence, (*found)[i].sequence);
}

TEST_F(FunctionLogsTest, ATornLastLineOfACrashIsPassedOver) {
  open();
  logs_->append("f", record("whole"));
  logs_->close();
  std::ofstream(folder_.path() / "f" / "0001.ndjson", std::ios::app) << R"({"name":"hello","insta)";
  open();
  EXPECT_EQ(texts("f"), Texts{"whole"});
  logs_->append("f", record("next"));
  EXPECT_EQ(texts("f"), (Texts{"whole", "next"}));
}

TEST_F(FunctionLogsTest, OneFunctionStaysWithinItsBytes) {
  open({.bytes_per_function = 32'768});
  for (int i = 0; i < 2'000; ++i) logs_->append("f", record("number " + std::to_string(i)));
  const Texts kept = texts("f", {.filter = {}, .tail = kMaxTail});
  EXPECT_EQ(kept.back(), "number 1999");
  EXPECT_GT(kept.size(), 50U);
  EXPECT_LT(kept.size(), 1'000U);
  std::uintmax_t on_disk = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_.path() / "f"))
    on_disk += file.file_size();
  EXPECT_LE(on_disk, 32'768U);
}

TEST_F(FunctionLogsTest, AllFunctionsStayWithinTheTotalAndWhoHasMostGives) {
  open({.bytes_per_function = 32'768, .bytes_total = 65'536});
  for (int i = 0; i < 3; ++i) logs_->append("quiet", record_of("calm", "a line"));
  for (int i = 0; i < 3; ++i) logs_->append("quiet_too", record_of("loud", "a line"));
  for (const char* id : {"a", "b", "c", "d", "e"}) {
    clock_.advance(std::chrono::seconds(1));
    for (int i = 0; i < 300; ++i)
      logs_->append(id, record_of("loud", "a line of function " + std::string(id)));
    EXPECT_FALSE(texts(id).empty());
  }
  std::uintmax_t on_disk = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
    if (entry.is_regular_file()) on_disk += entry.file_size();
  }
  EXPECT_LE(on_disk, 65'536U);
  EXPECT_GT(on_disk, 32'768U);
  EXPECT_EQ(texts("quiet").size(), 3U);
  EXPECT_EQ(texts("quiet_too").size(), 3U);
  EXPECT_LT(texts("a").size(), 250U);
}

TEST_F(FunctionLogsTest, OfTwoSpacesTheOneThatHasMostGives) {
  for (int f = 0; f < 4; ++f) {
    open({.bytes_per_function = 16'384, .bytes_total = 40'000});
    logs_->keep_only({{"few", "calm"}, {"n0", "loud"}, {"n1", "loud"}, {"n2", "loud"}, {"n3", "loud"}});
    const std::string id = "n" + std::to_string(f);
    for (int i = 0; i < 60; ++i) {
      if (f == 0) logs_->append("few", record_of("calm", "a line"));  // more than each other will have
      logs_->append(id, record_of("loud", "a line"));
    }
    for (int i = 0; i < 40; ++i) logs_->append(id, record_of("loud", "another line"));
    EXPECT_FALSE(texts(id).empty());
  }
  EXPECT_EQ(texts("few").size(), 60U);  // though its space wrote nothing since the start
}

TEST_F(FunctionLogsTest, LogsOfFunctionsThatAreGoneGoAtAStart) {
  open();
  for (const char* id : {"gone", "here"}) logs_->append(id, record("stored"));
  ASSERT_EQ(texts("gone"), Texts{"stored"});
  open();
  logs_->keep_only({{"here", "default"}});
  logs_->append("here", record("new"));
  EXPECT_TRUE(texts("gone").empty());
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "gone"));
  EXPECT_EQ(texts("here"), (Texts{"stored", "new"}));
}

TEST_F(FunctionLogsTest, RemovalForgetsWhatIsStoredAndWhatIsQueued) {
  open();
  logs_->append("f", record("stored"));
  logs_->append("g", record("of another"));
  ASSERT_EQ(texts("f"), Texts{"stored"});
  logs_->append("f", record("queued"));
  logs_->remove("f");
  EXPECT_TRUE(texts("f").empty());
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "f"));
  logs_->append("f", record("reborn"));
  EXPECT_EQ(texts("f"), Texts{"reborn"});
  EXPECT_EQ(texts("g"), Texts{"of another"});
}

TEST_F(FunctionLogsTest, IdsThatAreNoPlainNamesAreNotFound) {
  open();
  for (const char* id : {"", "..", "a/b", "a.b"}) {
    const auto found = logs_->query(id, {});
    ASSERT_FALSE(found) << id;
    EXPECT_EQ(found.error().code, Code::kNotFound);
  }
}

// A FIFO in place of a segment holds the writer in open() until somebody reads: a disk that stalls.
class StalledDisk {
 public:
  explicit StalledDisk(const std::filesystem::path& folder) : path_(folder / "0001.ndjson") {
    std::filesystem::create_directories(folder);
    STERNA_ASSERT(::mkfifo(path_.c_str(), 0600) == 0);
  }

  // Lets the writer go on and reads what it writes until it has told of `dropped` lines. Answers how many it
  // told of.
  std::uint64_t lines_told_dropped(std::uint64_t dropped) {
    fifo_.reset(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::string rest;
    std::uint64_t told = 0;
    while (told < dropped && std::chrono::steady_clock::now() < deadline) {
      pollfd ready{fifo_.get(), POLLIN, 0};
      ::poll(&ready, 1, 10);
      std::array<char, 65'536> part;
      const ssize_t got = ::read(fifo_.get(), part.data(), part.size());
      if (got > 0) rest.append(part.data(), static_cast<std::size_t>(got));
      for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
        const auto line = parse_stored_line(std::string_view(rest).substr(0, end));
        rest.erase(0, end + 1);
        if (!line || line->stream != Stream::kPlatform) continue;
        told += std::stoull(line->text);
        last_notice_ = line->text;
      }
    }
    return told;
  }
  const std::string& last_notice() const { return last_notice_; }

 private:
  std::filesystem::path path_;
  UniqueFd fifo_;
  std::string last_notice_;
};

TEST_F(FunctionLogsTest, AStalledDiskDropsLinesCountsThemAndSaysSo) {
  StalledDisk disk(folder_.path() / "f");
  open({.queue = kSmallQueue});
  std::uint64_t shown = 0;
  {
    const auto subscription = logs_->follow("f", {}, [&](const Record&) { ++shown; });
    ASSERT_TRUE(subscription);
    for (int i = 0; i < 1'000; ++i) logs_->append("f", record("line"));
  }
  const std::uint64_t dropped = logs_->dropped();
  EXPECT_GT(dropped, 800U);
  EXPECT_LT(dropped, 1'000U);
  EXPECT_EQ(shown, 1'000U);
  EXPECT_EQ(disk.lines_told_dropped(dropped), dropped);
}

TEST_F(FunctionLogsTest, ANoisyFunctionLeavesRoomInTheQueueForOthers) {
  StalledDisk disk(folder_.path() / "noisy");
  open({.queue = kSmallQueue});
  for (int i = 0; i < 1'000; ++i) logs_->append("noisy", record("line"));
  const std::uint64_t dropped = logs_->dropped();
  for (int i = 0; i < 10; ++i) logs_->append("quiet", record("line"));
  EXPECT_EQ(logs_->dropped(), dropped);
  EXPECT_EQ(disk.lines_told_dropped(dropped), dropped);
  EXPECT_TRUE(disk.last_notice().ends_with("dropped: the function wrote faster than its log could be stored"))
      << disk.last_notice();
}

TEST_F(FunctionLogsTest, NoisyFunctionsOfASpaceCostOtherSpacesNothingAndAreNamedAsTheReasonInTheirOwn) {
  StalledDisk disk(folder_.path() / "neighbour");  // once it has taken what there is, the writer is held
  open({.queue = kSmallQueue});
  std::uint64_t lost = 0;
  constexpr std::uint64_t kRounds = 1'000;
  for (std::uint64_t i = 0; i < kRounds; ++i) {
    const std::uint64_t before = logs_->dropped();
    logs_->append("neighbour", record_of("evil", "line"));
    lost += logs_->dropped() - before;
    for (int f = 0; f < 6; ++f) logs_->append("noisy" + std::to_string(f), record_of("evil", "line"));
  }
  EXPECT_GT(lost, 0U);
  EXPECT_LT(lost, kRounds - 2) << "each function keeps some lines";
  const std::uint64_t dropped = logs_->dropped();
  for (int i = 0; i < 40; ++i) logs_->append("quiet", record_of("good", "line"));
  EXPECT_EQ(logs_->dropped(), dropped);
  EXPECT_EQ(disk.lines_told_dropped(lost), lost);
  EXPECT_TRUE(disk.last_notice().ends_with(
      "dropped: the functions of its space together wrote faster than their logs could be stored"))
      << disk.last_notice();
}

TEST_F(FunctionLogsTest, FollowersSeeNewRecordsThatPassTheirFilter) {
  open();
  logs_->append("f", record("old"));
  Texts seen;
  auto subscription = logs_->follow("f", {.since = {}, .call_id = "A"},
                                    [&](const Record& each) { seen.push_back(each.text); });
  ASSERT_TRUE(subscription);
  logs_->append("f", record("mine", "A"));
  logs_->append("f", record("other call", "B"));
  logs_->append("g", record("other function", "A"));
  EXPECT_EQ(seen, Texts{"mine"});
  {
    const Subscription ended = std::move(*subscription);
  }
  logs_->append("f", record("unseen", "A"));
  EXPECT_EQ(seen, Texts{"mine"});
}

TEST_F(FunctionLogsTest, PastAndPresentMeetWithoutGapOrRepetition) {
  open();
  logs_->append("f", record("1"));
  logs_->append("f", record("2"));
  Texts seen;
  const auto subscription = logs_->follow("f", {}, [&](const Record& each) { seen.push_back(each.text); });
  ASSERT_TRUE(subscription);
  logs_->append("f", record("3"));
  EXPECT_EQ(texts("f", {.filter = {}, .tail = kMaxTail, .before = subscription->start()}), (Texts{"1", "2"}));
  EXPECT_EQ(seen, Texts{"3"});
}

TEST_F(FunctionLogsTest, ACallbackMayEndAnySubscription) {
  open();
  int first_seen = 0;
  int second_seen = 0;
  std::optional<Subscription> first;
  std::optional<Subscription> second;
  first = std::move(*logs_->follow("f", {}, [&](const Record&) {
    ++first_seen;
    first.reset();
    second.reset();
  }));
  second = std::move(*logs_->follow("f", {}, [&](const Record&) { ++second_seen; }));
  logs_->append("f", record("1"));
  logs_->append("f", record("2"));
  EXPECT_EQ(first_seen, 1);
  EXPECT_EQ(second_seen, 0);
}

TEST_F(FunctionLogsTest, RemovingEndsTheFollowers) {
  open();
  int removed = 0;
  std::optional<Subscription> first;
  const auto on_removed = [&] {
    ++removed;
    first.reset();
  };
  first = std::move(*logs_->follow("f", {}, [](const Record&) { FAIL(); }, on_removed));
  const auto second = logs_->follow("f", {}, [](const Record&) { FAIL(); }, on_removed);
  int others = 0;
  const auto other = logs_->follow("g", {}, [&](const Record&) { ++others; }, on_removed);
  logs_->remove("f");
  EXPECT_EQ(removed, 2);
  logs_->append("f", record("1"));
  logs_->append("g", record("2"));
  EXPECT_EQ(others, 1);
}

TEST_F(FunctionLogsTest, FollowersAreLimited) {
  open();
  std::vector<Subscription> held;
  for (std::size_t i = 0; i < kMaxFollowers; ++i) {
    auto subscription = logs_->follow("f", {}, [](const Record&) {});
    ASSERT_TRUE(subscription);
    held.push_back(std::move(*subscription));
  }
  const auto refused = logs_->follow("f", {}, [](const Record&) {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "too_many_followers");
  held.pop_back();
  EXPECT_TRUE(logs_->follow("f", {}, [](const Record&) {}));
}

}  // namespace
}  // namespace sterna::logs
