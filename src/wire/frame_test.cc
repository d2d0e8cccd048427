#include "wire/frame.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

namespace sterna::wire {
namespace {

void feed(FrameReader& reader, std::string_view bytes) {
  std::memcpy(reader.prepare(bytes.size()), bytes.data(), bytes.size());
  reader.commit(bytes.size());
}

std::string frame_bytes(std::string_view payload, std::uint64_t call = 7) {
  std::string out;
  append_frame(out, FrameType::kRequest, More::kNo, 3, call, payload);
  return out;
}

TEST(Frame, HeaderHasTheDocumentedBytes) {
  std::string out;
  append_frame(out, FrameType::kResponseBody, More::kYes, 0x0201, 0x0807060504030201, "hi");
  EXPECT_EQ(out, std::string("\x02\0\0\0\x13\x01\x01\x02\x01\x02\x03\x04\x05\x06\x07\x08hi", 18));
}

TEST(Frame, OpenAndCloseFillTheLengthIn) {
  std::string out = "before";
  const std::size_t offset = open_frame(out, FrameType::kRequest, More::kNo, 3, 7);
  out += "payload";
  close_frame(out, offset);
  EXPECT_EQ(out, "before" + frame_bytes("payload"));
}

TEST(FrameReader, ReadsManyFramesFromOneRead) {
  FrameReader reader;
  feed(reader, frame_bytes("one", 1) + frame_bytes("", 2) + frame_bytes("three", 3));
  for (const auto& [call, payload] : {std::pair{1U, "one"}, {2U, ""}, {3U, "three"}}) {
    EXPECT_TRUE(reader.has_frame());
    const auto frame = reader.next();
    ASSERT_TRUE(frame.has_value() && frame->has_value());
    EXPECT_EQ((*frame)->type, FrameType::kRequest);
    EXPECT_EQ((*frame)->slot, 3);
    EXPECT_EQ((*frame)->call, call);
    EXPECT_EQ((*frame)->payload, payload);
  }
  EXPECT_FALSE(reader.has_frame());
  EXPECT_TRUE(reader.empty());
  EXPECT_EQ(reader.next().value(), std::nullopt);
}

TEST(FrameReader, ReadsByteByByte) {
  FrameReader reader;
  const std::string stream = frame_bytes("first", 1) + frame_bytes(std::string(300, 'x'), 2);
  std::vector<std::string> payloads;
  for (const char byte : stream) {
    feed(reader, {&byte, 1});
    const auto frame = reader.next();
    ASSERT_TRUE(frame.has_value());
    if (*frame) payloads.emplace_back((*frame)->payload);
  }
  EXPECT_EQ(payloads, (std::vector<std::string>{"first", std::string(300, 'x')}));
  EXPECT_TRUE(reader.empty());
}

TEST(FrameReader, KeepsTheTailOfASplitFrameWhenTheBufferIsReused) {
  FrameReader reader;
  std::string stream;
  for (std::uint64_t call = 0; call < 500; ++call) stream += frame_bytes(std::string(call % 97, 'a'), call);
  std::uint64_t expected = 0;
  for (std::size_t at = 0; at < stream.size(); at += 61) {
    feed(reader, std::string_view(stream).substr(at, 61));
    for (auto frame = reader.next(); frame.value(); frame = reader.next()) {
      ASSERT_EQ((*frame)->call, expected);
      ASSERT_EQ((*frame)->payload.size(), expected % 97);
      ++expected;
    }
  }
  EXPECT_EQ(expected, 500U);
}

TEST(FrameReader, MakesRoomForTheRestOfALargeFrameAtOnce) {
  FrameReader reader;
  const std::string whole = frame_bytes(std::string(kMaxPayloadBytes, 'z'));
  feed(reader, std::string_view(whole).substr(0, 100));
  EXPECT_EQ(reader.next().value(), std::nullopt);
  reader.prepare(1);
  ASSERT_GE(reader.writable(), whole.size() - 100);
  feed(reader, std::string_view(whole).substr(100));
  EXPECT_EQ(reader.next().value()->payload.size(), kMaxPayloadBytes);
  reader.prepare(1);
  EXPECT_GT(reader.writable(), kMaxPayloadBytes);
  reader.trim();
  EXPECT_EQ(reader.writable(), 0U);
}

TEST(FrameReader, TrimKeepsWhatIsNotReadYet) {
  FrameReader reader;
  feed(reader, frame_bytes("kept"));
  reader.trim();
  EXPECT_EQ(reader.next().value()->payload, "kept");
}

struct BadHeader {
  const char* what;
  std::size_t at;
  char value;
};

TEST(FrameReader, RefusesBrokenHeadersBeforeThePayloadIsThere) {
  for (const BadHeader& bad : {BadHeader{"one byte over the limit", 0, 1},
                               {"huge length", 3, '\x7f'},
                               {"type 0", 4, 0},
                               {"type 7", 4, 7},
                               {"type 15", 4, 15},
                               {"type 25", 4, 25},
                               {"type 255", 4, '\xff'},
                               {"flag bit 1", 5, 2},
                               {"flag bit 7", 5, '\x80'}}) {
    std::string out = frame_bytes(std::string(kMaxPayloadBytes, 'z')).substr(0, kHeaderBytes);
    out[bad.at] = bad.value;
    FrameReader reader;
    feed(reader, out);
    EXPECT_TRUE(reader.has_frame()) << bad.what;
    const auto frame = reader.next();
    ASSERT_FALSE(frame.has_value()) << bad.what;
    EXPECT_EQ(frame.error().code, Code::kInvalid);
    EXPECT_EQ(frame.error().reason, "bad_frame");
  }
}

TEST(FrameDeath, RefusesToWriteAFrameOverTheLimit) {
  std::string out;
  EXPECT_DEATH(
      append_frame(out, FrameType::kRequest, More::kNo, 0, 1, std::string(kMaxPayloadBytes + 1, 'x')), "");
}

TEST(ClaimPage, OneOfTwoSwapsWins) {
  ClaimPage page{};
  for (int round = 0; round < 200; ++round) {
    page.set(9, Claim::kQueued);
    bool started = false;
    std::thread worker([&] { started = page.swap_from_queued(9, Claim::kStarted); });
    const bool recalled = page.swap_from_queued(9, Claim::kRecalled);
    worker.join();
    EXPECT_NE(started, recalled);
    EXPECT_EQ(page.get(9), started ? Claim::kStarted : Claim::kRecalled);
  }
  EXPECT_FALSE(page.swap_from_queued(8, Claim::kStarted));
  EXPECT_EQ(page.get(8), Claim::kFree);
}

}  // namespace
}  // namespace sterna::wire
