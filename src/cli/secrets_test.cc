#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/unique_fd.h"
#include "cli/commands.h"
#include "cli/run_program.h"
#include "cli/test_server.h"

namespace sterna::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Standard input that holds `text` while this lives.
class Input {
 public:
  explicit Input(std::string_view text) : before_(::dup(STDIN_FILENO)) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    EXPECT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(ends[1]);
    ::dup2(ends[0], STDIN_FILENO);
    ::close(ends[0]);
    std::clearerr(stdin);
  }
  ~Input() { ::dup2(before_.get(), STDIN_FILENO); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

 private:
  UniqueFd before_;
};

std::string secret(std::string_view used_by) {
  return reply_with("201 Created", "", R"({"name":"KEY","used_by":[)" + std::string(used_by) + "]}");
}

TEST(Secrets, ValueComesFromStandardInputWithoutItsLastLineFeed) {
  TestServer server({secret("")});
  const Input input("two\nlines\n");
  const Ran ran = run({"secrets", "set", "KEY", "--url", server.url().c_str()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_EQ(ran.out, "KEY is set\n");
  const std::string request = server.requests().at(0);
  EXPECT_THAT(request, StartsWith("PUT /spaces/default/secrets/KEY HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("Content-Type: application/octet-stream\r\n"));
  EXPECT_THAT(request, EndsWith("\r\n\r\ntwo\nlines"));
}

TEST(Secrets, OnlyALineEndIsTakenOffStandardInput) {
  TestServer server({secret(""), secret("")});
  for (const auto& [given, sent] : {std::pair("key\r", "key\r"), std::pair("key\r\n", "key")}) {
    const Input input(given);
    EXPECT_EQ(run({"secrets", "set", "KEY", "--url", server.url().c_str()}).status, kExitOk);
    EXPECT_THAT(server.requests().back(), EndsWith(std::string("\r\n\r\n") + sent));
  }
}

// The command in a process of its own on a terminal of its own, asking for the value.
class Asked {
 public:
  Asked() {
    pid_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      Program program;
      const std::array words = {"sterna", "secrets", "set", "KEY", "--url", "http://127.0.0.1:1"};
      ::_exit(program.run(static_cast<int>(words.size()), words.data()));
    }
    // The prompt is there a moment before the terminal is silent.
    while (!shown_.contains("not shown") || echoes()) read_some();
  }
  ~Asked() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(terminal_);
  }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;

  void type(std::string_view text) const {
    EXPECT_EQ(::write(terminal_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  bool echoes() const {
    termios now{};
    ::tcgetattr(terminal_, &now);
    return (now.c_lflag & static_cast<tcflag_t>(ECHO)) != 0;
  }
  // As waitpid tells it; what it showed is in shown().
  int end() {
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0) read_some();
    while (read_some()) {
    }
    return status;
  }
  const std::string& shown() const { return shown_; }

 private:
  bool read_some() {
    pollfd input{.fd = terminal_, .events = POLLIN, .revents = 0};
    if (::poll(&input, 1, 10) <= 0) return false;
    std::array<char, 1024> part;
    const auto count = ::read(terminal_, part.data(), part.size());
    if (count <= 0) return false;
    shown_.append(part.data(), static_cast<std::size_t>(count));
    return true;
  }

  int terminal_ = -1;
  pid_t pid_ = -1;
  std::string shown_;
};

TEST(HiddenInput, TheTerminalShowsAgainAfterASignal) {
  for (const auto& [key, signal] : {std::pair("\x03", SIGINT), std::pair("\x1c", SIGQUIT)}) {
    Asked asked;
    asked.type(key);
    const int status = asked.end();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << status;
    EXPECT_TRUE(asked.echoes());
  }
}

TEST(HiddenInput, EndOfInputIsNoValue) {
  Asked ended;
  ended.type("\x04");
  EXPECT_EQ(WEXITSTATUS(ended.end()), kExitUsage);
  EXPECT_THAT(ended.shown(), HasSubstr("nothing was typed"));
  Asked typed;
  typed.type("hunter2\n");
  EXPECT_EQ(WEXITSTATUS(typed.end()), kExitUnreachable);
  EXPECT_THAT(typed.shown(), Not(HasSubstr("hunter2")));
}

TEST(Secrets, ValueComesFromAFileByteForByte) {
  const std::string file = testing::TempDir() + "secret-value";
  std::ofstream(file) << "from a file\n";
  TestServer server({secret(R"("a","b")")});
  const Ran ran = run({"secrets", "set", "KEY", "--file", file.c_str(), "--url", server.url().c_str()});
  std::filesystem::remove(file);
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_EQ(ran.out, "KEY is set; new workers of: a, b\n");
  EXPECT_THAT(server.requests().at(0), EndsWith("\r\n\r\nfrom a file\n"));
}

TEST(Secrets, BadNamesAndLargeValuesNeverLeave) {
  TestServer server({});
  EXPECT_EQ(run({"secrets", "set", "no-dash", "--url", server.url().c_str()}).status, kExitUsage);
  const std::string file = testing::TempDir() + "secret-large";
  std::ofstream(file) << std::string((64U << 10) + 1, 'x');
  const Ran large = run({"secrets", "set", "KEY", "--file", file.c_str(), "--url", server.url().c_str()});
  std::filesystem::remove(file);
  EXPECT_EQ(large.status, kExitUsage);
  EXPECT_TRUE(server.requests().empty());
}

TEST(Secrets, AreListedWithTheirUsers) {
  TestServer server({reply_with("200 OK", "",
                                R"({"data":[{"name":"A","updated_at":"T","used_by":["f","g"]},
                                            {"name":"B","updated_at":"U","used_by":[]}],
                                    "paging":{"next_cursor":null}})")});
  EXPECT_EQ(run({"secrets", "list", "--url", server.url().c_str()}).out,
            "NAME  UPDATED  USED BY\nA     T        f, g\nB     U        -\n");
}

TEST(Secrets, AreDeletedAlsoByForce) {
  TestServer server({reply_with("204 No Content", "", ""), reply_with("204 No Content", "", "")});
  const std::string url = server.url();
  EXPECT_EQ(run({"secrets", "delete", "KEY", "--url", url.c_str()}).out, "KEY is deleted\n");
  EXPECT_EQ(run({"secrets", "delete", "KEY", "--force", "--url", url.c_str()}).status, kExitOk);
  EXPECT_THAT(server.requests().at(0), StartsWith("DELETE /spaces/default/secrets/KEY HTTP"));
  EXPECT_THAT(server.requests().at(1), StartsWith("DELETE /spaces/default/secrets/KEY?force=true HTTP"));
}

}  // namespace
}  // namespace sterna::cli
