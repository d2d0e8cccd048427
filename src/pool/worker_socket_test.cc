// Sockets that would keep whoever closes them last, sent to the server.
#include "pool/worker_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>

#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pool/testing/sent_descriptors.h"

namespace sterna::pool {
namespace {

using testing::send_with;
using Guard = WorkerSocket::Guard;

constexpr int kLingerSeconds = 600;
constexpr auto kDeadline = std::chrono::seconds(20);  // of what takes no time, or 600 seconds

struct Pair {
  explicit Pair(Guard guard) : Pair(guard, made()) {}
  WorkerSocket ours;
  UniqueFd theirs;

 private:
  Pair(Guard guard, std::pair<int, int> ends) : ours(UniqueFd(ends.first), guard), theirs(ends.second) {}
  static std::pair<int, int> made() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    return {ends[0], ends[1]};
  }
};

// A connection whose one end has sent what the other has not read, and lingers.
struct Lingering {
  UniqueFd end;
  UniqueFd peer;
  std::size_t unread = 0;

  Lingering() {
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener.get(), generic, length), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener.get(), generic, &length), 0);
    end.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(end.get(), generic, length), 0);
    peer.reset(::accept(listener.get(), nullptr, nullptr));
    const std::string part(64U << 10, 'x');
    for (ssize_t sent = 0; sent >= 0;) {
      sent = ::send(end.get(), part.data(), part.size(), MSG_DONTWAIT);
      if (sent > 0) unread += static_cast<std::size_t>(sent);
    }
    const linger on{1, kLingerSeconds};
    EXPECT_EQ(::setsockopt(end.get(), SOL_SOCKET, SO_LINGER, &on, sizeof on), 0);
  }

  // Nobody has it any more, and what it had sent arrives in whole.
  bool is_closed() {
    std::string part(64U << 10, '\0');
    std::size_t read = 0;
    pollfd polled{peer.get(), POLLIN, 0};
    while (::poll(&polled, 1, std::chrono::milliseconds(kDeadline).count()) == 1) {
      const ssize_t got = ::recv(peer.get(), part.data(), part.size(), 0);
      if (got <= 0) return got == 0 && read == unread;
      read += static_cast<std::size_t>(got);
    }
    return false;
  }
};

// Runs it in a thread that a failure leaves behind.
bool ends_soon(std::move_only_function<void()> action) {
  std::packaged_task<void()> task(std::move(action));
  const std::future<void> done = task.get_future();
  std::thread(std::move(task)).detach();
  return done.wait_for(kDeadline) == std::future_status::ready;
}

std::pair<ssize_t, int> receive(WorkerSocket& socket) {
  char room[100];
  const ssize_t got = socket.receive(room, sizeof room);
  return {got, got < 0 ? errno : 0};
}

TEST(WorkerSocket, TheKernelRefusesDescriptors) {
  if (!testing::kernel_refuses_descriptors()) GTEST_SKIP() << "needs Linux 6.16";
  Pair pair(Guard::kKernel);
  const Lingering sent;
  EXPECT_EQ(send_with(pair.theirs.get(), "x", {{sent.end.get()}}), EPERM);
  EXPECT_EQ(::send(pair.theirs.get(), "abc", 3, 0), 3);
  EXPECT_EQ(receive(pair.ours).first, 3);
  EXPECT_EQ(receive(pair.ours).second, EAGAIN);
}

TEST(WorkerSocket, TheReaderPassesBytesAsTheyAre) {
  Pair pair(Guard::kReader);
  EXPECT_EQ(receive(pair.ours).second, EAGAIN);
  EXPECT_EQ(::send(pair.theirs.get(), "abc", 3, 0), 3);
  EXPECT_EQ(receive(pair.ours).first, 3);
  pair.theirs.reset();
  EXPECT_EQ(receive(pair.ours), std::pair(ssize_t{0}, 0));
}

TEST(WorkerSocket, WhatComesIsClosedWithoutWaiting) {
  Pair pair(Guard::kReader);
  Lingering sent;
  ASSERT_EQ(send_with(pair.theirs.get(), "x", {{sent.end.get()}}), 0);
  sent.end.reset();
  EXPECT_TRUE(ends_soon([&] { EXPECT_EQ(receive(pair.ours).second, EBADMSG); }));
  EXPECT_TRUE(sent.is_closed());
}

TEST(WorkerSocket, SoIsWhatLiesInASocketThatComes) {
  Pair pair(Guard::kReader);
  Lingering sent;
  int nest[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, nest), 0);
  ASSERT_EQ(send_with(nest[0], "x", {{sent.end.get()}}), 0);
  ASSERT_EQ(send_with(pair.theirs.get(), "x", {{nest[1], nest[0]}}), 0);
  sent.end.reset();
  ::close(nest[0]);
  ::close(nest[1]);
  EXPECT_TRUE(ends_soon([&] { EXPECT_EQ(receive(pair.ours).second, EBADMSG); }));
  EXPECT_TRUE(sent.is_closed());
}

TEST(WorkerSocket, AndWhatNobodyHasReadWhenItIsClosed) {
  Lingering sent;
  EXPECT_TRUE(ends_soon([&] {
    Pair pair(Guard::kReader);
    EXPECT_EQ(::send(pair.theirs.get(), "abc", 3, 0), 3);
    EXPECT_EQ(send_with(pair.theirs.get(), "x", {{sent.end.get()}}), 0);
    sent.end.reset();
    pair.ours.close();
    EXPECT_FALSE(pair.ours);
  }));
  EXPECT_TRUE(sent.is_closed());
}

TEST(WorkerSocket, AsManyAsOneMessageBringsLeaveNoneBehind) {
  Pair pair(Guard::kReader);
  const int before = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(before);
  const std::vector<int> many(253, STDIN_FILENO);
  ASSERT_EQ(send_with(pair.theirs.get(), "x", many), 0);
  EXPECT_EQ(receive(pair.ours).second, EBADMSG);
  const UniqueFd after(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(after.get(), before);  // the lowest number that is free
}

}  // namespace
}  // namespace sterna::pool
