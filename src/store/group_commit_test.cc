#include "store/group_commit.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <latch>

#include "store/statement.h"

namespace sterna::store {
namespace {

using Apply = std::function<Status(Database&)>;

class TestWrite final : public Write {
 public:
  TestWrite(Apply apply, std::function<void(const Status&)> done)
      : apply_(std::move(apply)), done_(std::move(done)) {}
  Status apply(Database& database) override { return apply_(database); }
  void done(const Status& status) override { done_(status); }

 private:
  const Apply apply_;
  const std::function<void(const Status&)> done_;
};

class GroupCommitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "group-commit-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    auto database = Database::open((folder_ / "test.db").string());
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->execute("CREATE TABLE t(n INTEGER PRIMARY KEY)"));
    writer_ = std::make_unique<GroupCommit>(std::move(*database), deliver());
  }
  void TearDown() override {
    writer_.reset();
    std::filesystem::remove_all(folder_);
  }

  GroupCommit::Deliver deliver() {
    return [this](std::vector<GroupCommit::Ended> batch) {
      batches_ += 1;
      for (GroupCommit::Ended& ended : batch) ended.write->done(ended.status);
    };
  }
  // Keeps the writer busy until `open`, so that what is submitted meanwhile becomes one batch.
  void hold(const std::shared_future<void>& open) {
    std::promise<void> running;
    writer_->submit(std::make_unique<TestWrite>(
        [&running, open](Database&) -> Status {
          running.set_value();
          open.wait();
          return {};
        },
        [](const Status&) {}));
    running.get_future().wait();
  }
  std::future<Status> submit(Apply apply) {
    auto promise = std::make_shared<std::promise<Status>>();
    writer_->submit(std::make_unique<TestWrite>(
        std::move(apply), [promise](const Status& status) { promise->set_value(status); }));
    return promise->get_future();
  }
  std::future<Status> insert(int n) {
    return submit([n](Database& db) { return Statement(db, "INSERT INTO t VALUES(?1)").bind(n).run(); });
  }
  // By another connection: only what is committed is seen.
  std::int64_t rows() {
    auto database = Database::open((folder_ / "test.db").string());
    Statement count(**database, "SELECT count(*) FROM t");
    EXPECT_TRUE(*count.step());
    return count.integer(0);
  }

  std::filesystem::path folder_;
  std::unique_ptr<GroupCommit> writer_;
  std::atomic<int> batches_ = 0;
};

TEST_F(GroupCommitTest, WhatGathersSharesOneCommit) {
  std::promise<void> open;
  hold(open.get_future().share());
  std::vector<std::future<Status>> writes;
  writes.reserve(100);
  for (int n = 0; n < 100; ++n) writes.push_back(insert(n));
  EXPECT_EQ(writer_->waiting(), 100U);
  open.set_value();
  for (auto& write : writes) EXPECT_TRUE(write.get());
  EXPECT_EQ(rows(), 100);
  EXPECT_EQ(batches_, 2);
}

TEST_F(GroupCommitTest, DoneComesAfterTheCommit) {
  EXPECT_TRUE(insert(7).get());
  EXPECT_EQ(rows(), 1);
}

TEST_F(GroupCommitTest, AConflictHurtsOnlyItself) {
  std::promise<void> open;
  hold(open.get_future().share());
  auto first = insert(1);
  auto twin = insert(1);
  auto other = insert(2);
  open.set_value();
  EXPECT_TRUE(first.get());
  EXPECT_EQ(twin.get().error().reason, "already_exists");
  EXPECT_TRUE(other.get());
  EXPECT_EQ(rows(), 2);
}

TEST_F(GroupCommitTest, AnyOtherFailureUndoesTheBatch) {
  std::promise<void> open;
  hold(open.get_future().share());
  auto first = insert(1);
  auto broken =
      submit([](Database&) -> Status { return fail(Code::kIo, Component::kQueue, "io_error", "no"); });
  open.set_value();
  EXPECT_EQ(first.get().error().reason, "io_error");
  EXPECT_EQ(broken.get().error().reason, "io_error");
  EXPECT_EQ(rows(), 0);
  EXPECT_TRUE(insert(3).get());
}

TEST_F(GroupCommitTest, WhoIsIdleGivesItsCacheBack) {
  auto database = Database::open((folder_ / "large.db").string(), {.cache_kib = 16'000});
  ASSERT_TRUE(database);
  ASSERT_TRUE((*database)->execute("CREATE TABLE large(n)"));
  writer_ = std::make_unique<GroupCommit>(std::move(*database), deliver(), Duration::zero());
  std::int64_t cached = 0;
  const auto look = [&cached](Database& db) -> Status {
    cached = db.cache_bytes();
    return {};
  };
  const auto fill = [&](Database& db) -> Status {
    const Status filled = db.execute(
        "WITH RECURSIVE i(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM i WHERE n < 2000)"
        " INSERT INTO large SELECT zeroblob(3000) FROM i");
    return filled ? look(db) : filled;
  };
  ASSERT_TRUE(submit(fill).get());
  EXPECT_GT(cached, 4'000'000);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (cached > 1'000'000 && std::chrono::steady_clock::now() < deadline) ASSERT_TRUE(submit(look).get());
  EXPECT_LT(cached, 1'000'000);
}

TEST_F(GroupCommitTest, WhatIsQueuedAtTheEndIsWritten) {
  std::promise<void> open;
  hold(open.get_future().share());
  auto write = insert(5);
  open.set_value();
  writer_.reset();
  EXPECT_TRUE(write.get());
  EXPECT_EQ(rows(), 1);
}

TEST_F(GroupCommitTest, TellsSinceWhenItWritesAndTriesTheDisk) {
  EXPECT_FALSE(writer_->writing_since());
  std::promise<void> open;
  hold(open.get_future().share());
  EXPECT_TRUE(writer_->writing_since());
  writer_->try_write();
  open.set_value();
  std::promise<Status> done;
  writer_->submit(std::make_unique<TestWrite>([](Database&) -> Status { return {}; },
                                              [&](const Status& status) { done.set_value(status); }));
  EXPECT_TRUE(done.get_future().get());
  EXPECT_FALSE(writer_->write_trouble());
}

}  // namespace
}  // namespace sterna::store
