#include "wire/frame.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "wire/bytes.h"

namespace sterna::wire {
namespace {

struct Header {
  std::uint32_t payload_bytes;
  std::uint8_t type;
  std::uint8_t flags;
  std::uint16_t slot;
  std::uint64_t call;
};
static_assert(sizeof(Header) == kHeaderBytes);

Header load_header(const char* at) {
  Header header;
  std::memcpy(&header, at, sizeof header);
  return header;
}

bool is_known_type(std::uint8_t type) {
  return (type >= static_cast<std::uint8_t>(FrameType::kInit) &&
          type <= static_cast<std::uint8_t>(FrameType::kShutdown)) ||
         (type >= static_cast<std::uint8_t>(FrameType::kReady) &&
          type <= static_cast<std::uint8_t>(FrameType::kRequestWindow));
}

bool is_valid(const Header& header) {
  return header.payload_bytes <= kMaxPayloadBytes && is_known_type(header.type) && header.flags <= 1;
}

std::unexpected<Error> fail_header(const Header& header) {
  return fail(Code::kInvalid, Component::kWorker, "bad_frame",
              "frame header: type " + std::to_string(header.type) + ", flags " +
                  std::to_string(header.flags) + ", " + std::to_string(header.payload_bytes) +
                  " payload bytes");
}

void append_header(std::string& out, std::uint32_t payload_bytes, FrameType type, More more,
                   std::uint16_t slot, std::uint64_t call) {
  const Header header{payload_bytes, static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(more), slot,
                      call};
  char bytes[kHeaderBytes];
  std::memcpy(bytes, &header, sizeof header);
  out.append(bytes, sizeof bytes);
}

}  // namespace

char* FrameReader::prepare(std::size_t wanted) {
  const std::size_t held = end_ - begin_;
  if (held == 0) {
    begin_ = end_ = 0;
  } else if (held >= kHeaderBytes) {
    const Header header = load_header(buffer_.get() + begin_);
    const std::size_t whole = kHeaderBytes + header.payload_bytes;
    if (is_valid(header) && whole > held) wanted = std::max(wanted, whole - held);
  }
  if (writable() >= wanted) return buffer_.get() + end_;

  if (capacity_ - held >= wanted) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, held);
  } else {
    const std::size_t capacity =
        std::max(held + wanted, std::min<std::size_t>(2 * capacity_, kMaxPayloadBytes));
    auto grown = std::make_unique_for_overwrite<char[]>(capacity);
    if (held != 0) std::memcpy(grown.get(), buffer_.get() + begin_, held);
    buffer_ = std::move(grown);
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = held;
  return buffer_.get() + end_;
}

void FrameReader::commit(std::size_t bytes) {
  STERNA_ASSERT(bytes <= writable());
  end_ += bytes;
}

Result<std::optional<Frame>> FrameReader::next() {
  const std::size_t held = end_ - begin_;
  if (held < kHeaderBytes) return std::nullopt;
  const char* at = buffer_.get() + begin_;
  const Header header = load_header(at);
  if (!is_valid(header)) return fail_header(header);
  if (held - kHeaderBytes < header.payload_bytes) return std::nullopt;
  begin_ += kHeaderBytes + header.payload_bytes;
  return Frame{static_cast<FrameType>(header.type), static_cast<More>(header.flags), header.slot, header.call,
               std::string_view(at + kHeaderBytes, header.payload_bytes)};
}

bool FrameReader::has_frame() const {
  const std::size_t held = end_ - begin_;
  if (held < kHeaderBytes) return false;
  const Header header = load_header(buffer_.get() + begin_);
  return !is_valid(header) || held - kHeaderBytes >= header.payload_bytes;
}

void FrameReader::trim() {
  if (!empty()) return;
  buffer_.reset();
  capacity_ = begin_ = end_ = 0;
}

void append_frame(std::string& out, FrameType type, More more, std::uint16_t slot, std::uint64_t call,
                  std::string_view payload) {
  STERNA_ASSERT(payload.size() <= kMaxPayloadBytes);
  append_header(out, static_cast<std::uint32_t>(payload.size()), type, more, slot, call);
  out.append(payload);
}

std::size_t open_frame(std::string& out, FrameType type, More more, std::uint16_t slot, std::uint64_t call) {
  const std::size_t offset = out.size();
  append_header(out, 0, type, more, slot, call);
  return offset;
}

void close_frame(std::string& out, std::size_t offset) {
  const std::size_t payload_bytes = out.size() - offset - kHeaderBytes;
  STERNA_ASSERT(payload_bytes <= kMaxPayloadBytes);
  store(out.data() + offset, static_cast<std::uint32_t>(payload_bytes));
}

void set_more(std::string& out, std::size_t offset, More more) {
  out[offset + offsetof(Header, flags)] = static_cast<char>(more);
}

// The kernel's shared futex: std::atomic::wait is for threads of one process only.
void ClaimPage::ring() {
  rung.fetch_add(1, std::memory_order_acq_rel);
  ::syscall(SYS_futex, &rung, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

std::uint32_t ClaimPage::wait_for_bell(std::uint32_t heard) {
  if (bell() == heard) ::syscall(SYS_futex, &rung, FUTEX_WAIT, heard, nullptr, nullptr, 0);
  return bell();
}

}  // namespace sterna::wire
