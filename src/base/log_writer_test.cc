#include "base/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <string>

#include "base/unique_fd.h"

namespace sterna {
namespace {

using std::chrono::seconds;

constexpr int kPatienceMs = 10'000;
constexpr std::size_t kLineBytes = 1000;

class LogWriterTest : public ::testing::Test {
 protected:
  LogWriterTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    reader_.reset(ends[0]);
    end_.reset(ends[1]);
    writer_ = std::make_unique<LogWriter>(
        end_.get(), [](std::uint64_t lines) { return "lost " + std::to_string(lines) + "\n"; });
  }

  void put(int number) {
    std::string line = std::to_string(number);
    line.resize(kLineBytes - 1, '.');
    writer_->put(line + "\n");
  }
  // Without its end. "" at the end of all, or when nothing comes.
  std::string read_line() {
    std::array<char, 4096> buffer{};
    std::size_t end = 0;
    while ((end = got_.find('\n')) == std::string::npos) {
      pollfd ready{.fd = reader_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, kPatienceMs) != 1) return {};
      const ssize_t size = ::read(reader_.get(), buffer.data(), buffer.size());
      if (size <= 0) return {};
      got_.append(buffer.data(), static_cast<std::size_t>(size));
    }
    std::string line = got_.substr(0, end);
    got_.erase(0, end + 1);
    return line;
  }
  void expect_lines(int count) {
    for (int number = 0; number < count; ++number)
      ASSERT_TRUE(read_line().starts_with(std::to_string(number) + ".")) << number;
  }

  std::string got_;
  UniqueFd reader_;
  UniqueFd end_;
  std::unique_ptr<LogWriter> writer_;
};

TEST_F(LogWriterTest, LinesArriveInTheirOrder) {
  for (int number = 0; number < 200; ++number) put(number);
  expect_lines(200);
}

TEST_F(LogWriterTest, AReaderThatStandsStillLosesTheNewestLinesAndIsTold) {
  constexpr std::uint64_t kMany = 4 * LogWriter::kQueueBytes / kLineBytes;
  for (std::uint64_t number = 0; number < kMany; ++number) put(static_cast<int>(number));
  EXPECT_GT(writer_->lost(), 0U);
  // Each line is there in its place, or counted there.
  std::uint64_t next = 0;
  std::uint64_t lost = 0;
  while (next < kMany) {
    const std::string line = read_line();
    if (line.starts_with("lost ")) {
      lost += std::stoul(line.substr(5));
      next += std::stoul(line.substr(5));
    } else {
      ASSERT_TRUE(line.starts_with(std::to_string(next) + ".")) << line;
      ++next;
    }
  }
  EXPECT_GT(lost, 0U);
  EXPECT_EQ(next, kMany);
  writer_->flush(seconds(10));
  EXPECT_EQ(writer_->lost(), 0U);
  put(static_cast<int>(kMany));
  EXPECT_TRUE(read_line().starts_with(std::to_string(kMany) + "."));
}

TEST_F(LogWriterTest, TheLastLinesAreWrittenBeforeTheEnd) {
  for (int number = 0; number < 10; ++number) put(number);
  writer_.reset();
  end_.reset();
  expect_lines(10);
  EXPECT_EQ(read_line(), "");
}

TEST_F(LogWriterTest, TheEndDoesNotWaitForAReaderThatStandsStill) {
  for (int number = 0; number < 200; ++number) put(number);
  const auto begin = std::chrono::steady_clock::now();
  writer_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, LogWriter::kPatience + seconds(5));
  expect_lines(200);  // the thread that was left behind
}

TEST_F(LogWriterTest, AReaderThatIsGoneCostsLinesOnly) {
  reader_.reset();
  put(1);
  writer_->flush(seconds(10));
  EXPECT_EQ(writer_->lost(), 1U);
}

}  // namespace
}  // namespace sterna
