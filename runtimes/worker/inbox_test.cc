#include "worker/inbox.h"

#include <gtest/gtest.h>

namespace sterna::worker {
namespace {

using Kind = Arrival::Kind;

wire::Frame frame(wire::FrameType type, std::string_view payload = {}, wire::More more = wire::More::kNo) {
  return {.type = type, .more = more, .slot = 4, .call = 9, .payload = payload};
}

TEST(Inbox, PassesWholeRequestsOn) {
  Inbox inbox;
  const auto arrival = inbox.accept(frame(wire::FrameType::kRequest, "head and body"));
  ASSERT_TRUE(arrival);
  EXPECT_EQ(arrival->kind, Kind::kRequest);
  EXPECT_EQ(arrival->call, 9U);
  EXPECT_EQ(arrival->slot, 4);
  EXPECT_EQ(arrival->payload, "head and body");
}

TEST(Inbox, GathersABodyThatComesInParts) {
  Inbox inbox;
  EXPECT_EQ(inbox.accept(frame(wire::FrameType::kRequest, "head", wire::More::kYes))->kind, Kind::kNothing);
  EXPECT_EQ(inbox.accept(frame(wire::FrameType::kRequestBody, " one", wire::More::kYes))->kind,
            Kind::kNothing);
  const auto arrival = inbox.accept(frame(wire::FrameType::kRequestBody, " two"));
  EXPECT_EQ(arrival->kind, Kind::kRequest);
  EXPECT_EQ(arrival->payload, "head one two");
}

TEST(Inbox, PassesPartsOnToWhoWantsThem) {
  Inbox inbox;
  inbox.pass_parts();
  const auto head = inbox.accept(frame(wire::FrameType::kRequest, "head", wire::More::kYes));
  ASSERT_TRUE(head);
  EXPECT_EQ(head->kind, Kind::kRequest);
  EXPECT_EQ(head->more, wire::More::kYes);
  EXPECT_EQ(head->payload, "head");
  const auto part = inbox.accept(frame(wire::FrameType::kRequestBody, " one", wire::More::kYes));
  EXPECT_EQ(part->kind, Kind::kBody);
  EXPECT_EQ(part->call, 9U);
  EXPECT_EQ(part->payload, " one");
  EXPECT_EQ(part->more, wire::More::kYes);
  EXPECT_EQ(inbox.accept(frame(wire::FrameType::kRequestBody))->more, wire::More::kNo);
  EXPECT_EQ(inbox.accept(frame(wire::FrameType::kCancel))->kind, Kind::kCancel);
}

TEST(Inbox, ForgetsACallThatIsCancelledWhileItsBodyComes) {
  Inbox inbox;
  EXPECT_EQ(inbox.accept(frame(wire::FrameType::kRequest, "head", wire::More::kYes))->kind, Kind::kNothing);
  EXPECT_EQ(inbox.accept(frame(wire::FrameType::kCancel))->kind, Kind::kCancelUnstarted);
  EXPECT_EQ(inbox.accept(frame(wire::FrameType::kRequestBody, "late"))->kind, Kind::kNothing);
  EXPECT_EQ(inbox.accept(frame(wire::FrameType::kCancel))->kind, Kind::kCancel);
}

TEST(Inbox, ReadsWindowsAndShutdown) {
  Inbox inbox;
  const auto window = inbox.accept(frame(wire::FrameType::kWindow, std::string_view("\x05\0\0\0", 4)));
  EXPECT_EQ(window->kind, Kind::kWindow);
  EXPECT_EQ(window->bytes, 5U);
  EXPECT_EQ(inbox.accept(frame(wire::FrameType::kShutdown))->kind, Kind::kShutdown);
}

TEST(Inbox, RefusesWhatTheServerMayNotSend) {
  Inbox inbox;
  EXPECT_FALSE(inbox.accept(frame(wire::FrameType::kInit)));
  EXPECT_FALSE(inbox.accept(frame(wire::FrameType::kResponse)));
  EXPECT_FALSE(inbox.accept(frame(wire::FrameType::kWindow, "abc")));
  wire::Frame far = frame(wire::FrameType::kRequest, "head");
  far.slot = wire::kSlots;
  EXPECT_FALSE(inbox.accept(far));
  EXPECT_TRUE(inbox.accept(frame(wire::FrameType::kRequest, "head", wire::More::kYes)));
  EXPECT_FALSE(inbox.accept(frame(wire::FrameType::kRequest, "again", wire::More::kYes)));
}

TEST(Inbox, RefusesABodyWithoutEnd) {
  Inbox inbox;
  ASSERT_TRUE(inbox.accept(frame(wire::FrameType::kRequest, "head", wire::More::kYes)));
  const std::string part(1U << 20, 'x');
  std::size_t taken = 0;
  while (inbox.accept(frame(wire::FrameType::kRequestBody, part, wire::More::kYes))) {
    taken += part.size();
    ASSERT_LE(taken, kMaxRequestBytes);
  }
  EXPECT_GT(taken, kMaxRequestBytes - 2 * part.size());
}

}  // namespace
}  // namespace sterna::worker
