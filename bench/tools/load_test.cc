#include "load.h"

#include <gtest/gtest.h>

#include "receiver.h"

namespace sterna::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::uint16_t port_in(const std::string& url) {
  return static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
}

// The receiver is an HTTP server, too: it answers 204, which is no acceptance.
TEST(Load, EveryConnectionSendsAgainWhenItsAnswerIsThereUntilItMayNot) {
  constexpr unsigned kWanted = 50;
  Poller poller;
  unsigned received = 0;
  unsigned begun = 0;
  unsigned answered = 0;
  Receiver receiver(poller,
                    [&](std::string_view, std::string_view body) { received += body == "four" ? 1 : 0; });
  const auto protocol = http_protocol({.path = "/", .callback = "", .body = "four"});
  Load load(poller, *protocol, port_in(receiver.url()), 4,
            {.may_send =
                 [&] {
                   if (begun == kWanted) return false;
                   ++begun;
                   return true;
                 },
             .on_reply = [&](const Reply& reply, Time, Time) { answered += reply.accepted ? 0 : 1; }});
  EXPECT_EQ(load.in_flight(), 0U);
  load.resume();
  EXPECT_EQ(load.in_flight(), 4U);
  const auto deadline = now() + seconds(20);
  while (load.in_flight() > 0 && now() < deadline) poller.turn(milliseconds(10));
  EXPECT_EQ(received, kWanted);
  EXPECT_EQ(answered, kWanted);
  EXPECT_EQ(load.refused(), kWanted);
  EXPECT_EQ(load.first_refusal(), "HTTP/1.1 204 No Content ");
}

TEST(Load, AConnectionThatHadToWaitGoesOnWhenResumed) {
  Poller poller;
  unsigned answered = 0;
  bool open = false;
  Receiver receiver(poller, [](std::string_view, std::string_view) {});
  const auto protocol = http_protocol({.path = "/", .callback = "", .body = ""});
  Load load(poller, *protocol, port_in(receiver.url()), 1,
            {.may_send = [&] { return std::exchange(open, false); },
             .on_reply = [&](const Reply&, Time, Time) { ++answered; }});
  load.resume();
  EXPECT_EQ(load.in_flight(), 0U);
  for (unsigned round = 1; round <= 2; ++round) {
    open = true;
    load.resume();
    const auto deadline = now() + seconds(20);
    while (load.in_flight() > 0 && now() < deadline) poller.turn(milliseconds(10));
    EXPECT_EQ(answered, round);
  }
}

}  // namespace
}  // namespace sterna::bench
