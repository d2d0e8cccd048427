// Frames between server and worker: constants, reader and writer. The format is in PROTOCOL.md.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna::wire {

inline constexpr std::size_t kHeaderBytes = 16;
inline constexpr std::uint32_t kMaxPayloadBytes = (1U << 20) + (64U << 10);
inline constexpr std::uint32_t kMaxBodyPart = 1U << 20;
inline constexpr std::uint32_t kInitialWindow = 256U << 10;
inline constexpr std::uint32_t kMaxHeaderBytes = 64U << 10;
inline constexpr std::uint32_t kMaxHelloBytes = 512U << 10;  // of READY, PAUSED, LOAD_FAILED
inline constexpr std::uint64_t kUnknownLength = ~std::uint64_t{0};

enum class FrameType : std::uint8_t {
  kInit = 1,
  kRequest = 2,
  kRequestBody = 3,
  kCancel = 4,
  kWindow = 5,
  kShutdown = 6,
  kReady = 16,
  kLoadFailed = 17,
  kResponse = 18,
  kResponseBody = 19,
  kFailed = 20,
  kLog = 21,
  kRecalled = 22,
  kPaused = 23,
  kRequestWindow = 24,
};

enum class More : std::uint8_t { kNo = 0, kYes = 1 };

struct Frame {
  FrameType type{};
  More more = More::kNo;
  std::uint16_t slot = 0;
  std::uint64_t call = 0;
  std::string_view payload;  // points into the reader's buffer; valid until the next call of the reader
};

// Cuts a byte stream into frames. Bytes move only when the tail of an unfinished frame must go to the front
// of the buffer; the buffer grows to at most one frame more than what `prepare` asks for. One thread.
class FrameReader {
 public:
  // Where to read into: at least `wanted` writable bytes, and enough for the rest of a frame that has begun;
  // `writable` tells how many there are. Tell how many came with `commit`. Invalidates all payloads handed
  // out.
  char* prepare(std::size_t wanted);
  std::size_t writable() const { return capacity_ - end_; }
  void commit(std::size_t bytes);

  // The next whole frame; nullopt when more bytes are needed.
  // Fails with invalid, reason `bad_frame`, on a length over the limit, an unknown type or unknown flags;
  // then the stream is lost.
  Result<std::optional<Frame>> next();

  // Whether a whole frame is waiting, so that a writer can tell if more work follows at once. Answers true
  // for a broken header too: `next` must report it.
  bool has_frame() const;

  bool empty() const { return begin_ == end_; }

  // Gives the buffer's memory back when nothing is in it; call when a connection goes idle after large
  // frames.
  void trim();

 private:
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Appends a frame to `out`.
void append_frame(std::string& out, FrameType type, More more, std::uint16_t slot, std::uint64_t call,
                  std::string_view payload);

// For payloads written in place: appends a header with an open length, answers its offset; `close_frame`
// fills the length in. The payload must stay within kMaxPayloadBytes.
std::size_t open_frame(std::string& out, FrameType type, More more, std::uint16_t slot, std::uint64_t call);
void close_frame(std::string& out, std::size_t offset);
// Changes the MORE flag of the frame at `offset`.
void set_more(std::string& out, std::size_t offset, More more);

// One slot of the claim page.
enum class Claim : std::uint32_t { kFree = 0, kQueued = 1, kStarted = 2, kRecalled = 3 };
inline constexpr std::size_t kSlots = 1023;
struct ClaimPage {
  std::atomic<std::uint32_t> slots[kSlots];
  std::atomic<std::uint32_t> rung;  // how often the bell was rung

  std::uint32_t bell() const { return rung.load(std::memory_order_acquire); }
  void ring();
  // Waits until the bell was rung since it stood at `heard`; answers where it stands now. May answer early.
  std::uint32_t wait_for_bell(std::uint32_t heard);

  void set(std::uint16_t slot, Claim value) {
    slots[slot].store(static_cast<std::uint32_t>(value), std::memory_order_release);
  }
  Claim get(std::uint16_t slot) const {
    return static_cast<Claim>(slots[slot].load(std::memory_order_acquire));
  }
  bool swap_from_queued(std::uint16_t slot, Claim to) {
    auto queued = static_cast<std::uint32_t>(Claim::kQueued);
    return slots[slot].compare_exchange_strong(queued, static_cast<std::uint32_t>(to),
                                               std::memory_order_acq_rel);
  }
};
static_assert(sizeof(ClaimPage) == 4096);

}  // namespace sterna::wire
