#include "wire/messages.h"

#include "wire/bytes.h"

namespace sterna::wire {
namespace {

constexpr std::size_t kRequestFixedBytes = 20;  // five u32
constexpr std::size_t kResponseFixedBytes = 32;
constexpr std::size_t kFailedFixedBytes = 16;
constexpr std::uint32_t kMinStatus = 200;
constexpr std::uint32_t kMaxStatus = 599;

std::unexpected<Error> bad_frame(const char* detail) {
  return fail(Code::kInvalid, Component::kWorker, "bad_frame", detail);
}

// A count that cannot fit into its block would make callers reserve memory for nothing.
bool is_plausible_block(std::uint32_t count, std::uint32_t bytes) {
  return bytes <= kMaxHeaderBytes && std::uint64_t{count} * kPairBytes <= bytes && (count != 0 || bytes == 0);
}

// All that stands before the headers.
char* write_request_start(char* to, const RequestHead& head, std::uint32_t header_count,
                          std::size_t header_bytes) {
  store(to, static_cast<std::uint32_t>(head.method.size()));
  store(to + 4, static_cast<std::uint32_t>(head.path.size()));
  store(to + 8, static_cast<std::uint32_t>(head.query.size()));
  store(to + 12, header_count);
  store(to + 16, static_cast<std::uint32_t>(header_bytes));
  to = write(to + kRequestFixedBytes, head.method);
  to = write(to, head.path);
  return write(to, head.query);
}

}  // namespace

void append_request(std::string& out, const RequestHead& head, std::string_view body_part) {
  const std::size_t size = kRequestFixedBytes + head.method.size() + head.path.size() + head.query.size() +
                           head.headers.size() + body_part.size();
  append_written(out, size, [&](char* to) {
    to = write_request_start(to, head, head.header_count, head.headers.size());
    to = write(to, head.headers);
    write(to, body_part);
  });
}

void append_bodyless_request(std::string& out, const RequestHead& head, std::span<const HeaderPair> headers) {
  STERNA_ASSERT(head.headers.empty());
  std::size_t block = 0;
  for (const HeaderPair& header : headers) block += kPairBytes + header.name.size() + header.value.size();
  const std::size_t size =
      kRequestFixedBytes + head.method.size() + head.path.size() + head.query.size() + block;
  append_written(out, size, [&](char* to) {
    to = write_request_start(to, head, static_cast<std::uint32_t>(headers.size()), block);
    for (const HeaderPair& header : headers) to = write_header(to, header);
  });
}

Status read_request(std::string_view payload, RequestHead& head, std::string_view& body_part) {
  if (payload.size() < kRequestFixedBytes) return bad_frame("request head is cut off");
  const auto method_bytes = load<std::uint32_t>(payload);
  const auto path_bytes = load<std::uint32_t>(payload, 4);
  const auto query_bytes = load<std::uint32_t>(payload, 8);
  const auto header_count = load<std::uint32_t>(payload, 12);
  const auto header_bytes = load<std::uint32_t>(payload, 16);
  payload.remove_prefix(kRequestFixedBytes);
  if (std::uint64_t{method_bytes} + path_bytes + query_bytes + header_bytes > payload.size()) {
    return bad_frame("request head is longer than its frame");
  }
  if (!is_plausible_block(header_count, header_bytes)) return bad_frame("request headers do not add up");
  head.method = take(payload, method_bytes);
  head.path = take(payload, path_bytes);
  head.query = take(payload, query_bytes);
  head.header_count = header_count;
  head.headers = take(payload, header_bytes);
  body_part = payload;
  return {};
}

void append_response(std::string& out, const ResponseHead& head, std::string_view body_part) {
  char fixed[kResponseFixedBytes];
  store(fixed, head.status);
  store(fixed + 4, head.header_count);
  store(fixed + 8, static_cast<std::uint32_t>(head.headers.size()));
  store(fixed + 12, std::uint32_t{0});
  store(fixed + 16, head.run_ns);
  store(fixed + 24, head.content_length);
  out.append(fixed, sizeof fixed).append(head.headers).append(body_part);
}

Status read_response(std::string_view payload, ResponseHead& head, std::string_view& body_part) {
  if (payload.size() < kResponseFixedBytes) return bad_frame("response head is cut off");
  const auto status = load<std::uint32_t>(payload);
  const auto header_count = load<std::uint32_t>(payload, 4);
  const auto header_bytes = load<std::uint32_t>(payload, 8);
  if (status < kMinStatus || status > kMaxStatus)
    return bad_frame("response status is not within 200 to 599");
  if (load<std::uint32_t>(payload, 12) != 0) return bad_frame("response head's reserved field is not 0");
  head.status = status;
  head.run_ns = load<std::uint64_t>(payload, 16);
  head.content_length = load<std::uint64_t>(payload, 24);
  payload.remove_prefix(kResponseFixedBytes);
  if (header_bytes > payload.size()) return bad_frame("response head is longer than its frame");
  if (!is_plausible_block(header_count, header_bytes)) return bad_frame("response headers do not add up");
  head.header_count = header_count;
  head.headers = take(payload, header_bytes);
  body_part = payload;
  return {};
}

void append_failed(std::string& out, const Failed& failed) {
  put(out, static_cast<std::uint32_t>(failed.kind));
  put(out, std::uint32_t{0});
  put(out, failed.run_ns);
  out.append(failed.text);
}

Status read_failed(std::string_view payload, Failed& failed) {
  if (payload.size() < kFailedFixedBytes) return bad_frame("FAILED is cut off");
  const auto kind = load<std::uint32_t>(payload);
  if (kind < 1 || kind > 3) return bad_frame("FAILED has an unknown kind");
  if (load<std::uint32_t>(payload, 4) != 0) return bad_frame("FAILED's reserved field is not 0");
  failed.kind = static_cast<FailKind>(kind);
  failed.run_ns = load<std::uint64_t>(payload, 8);
  failed.text = payload.substr(kFailedFixedBytes);
  return {};
}

void append_log(std::string& out, const LogText& log) {
  out.push_back(static_cast<char>(log.stream));
  out.append(log.text);
}

Status read_log(std::string_view payload, LogText& log) {
  if (payload.empty()) return bad_frame("LOG is cut off");
  const auto stream = static_cast<std::uint8_t>(payload[0]);
  if (stream < 1 || stream > 3) return bad_frame("LOG has an unknown stream");
  log.stream = static_cast<Stream>(stream);
  log.text = payload.substr(1);
  return {};
}

void append_window(std::string& out, std::uint32_t bytes) {
  put(out, bytes);
}

Status read_window(std::string_view payload, std::uint32_t& bytes) {
  if (payload.size() != sizeof bytes) return bad_frame("WINDOW is not four bytes");
  bytes = load<std::uint32_t>(payload);
  return {};
}

}  // namespace sterna::wire
