#include "native/cpp/cpp_call.h"

#include <algorithm>
#include <cstdio>

#include "native/cpp/log_streams.h"
#include "worker/sync_server.h"

namespace sterna::native {
namespace {

constexpr std::uint32_t kMinStatus = 200;
constexpr std::uint32_t kMaxStatus = 599;
constexpr std::size_t kMaxPart = wire::kInitialWindow;

std::string_view view(sterna_bytes_v1 bytes) {
  return {bytes.data, bytes.size};
}
sterna_bytes_v1 plain(std::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

std::uint64_t CppCall::run(CppHandler handler, std::string_view payload) {
  wire::RequestHead request;
  std::string_view body;
  if (!wire::read_request(payload, request, body)) {
    fail(wire::FailKind::kRaised, "the request is malformed");
    return 0;
  }
  const sterna_call_v1 call{.method = plain(request.method),
                            .path = plain(request.path),
                            .query = plain(request.query),
                            .body = plain(body),
                            .headers = plain(request.headers),
                            .header_count = request.header_count,
                            .host = this,
                            .respond =
                                [](void* host, std::uint32_t status, sterna_bytes_v1 headers,
                                   std::uint32_t count, sterna_bytes_v1 text, int more) {
                                  of(host).respond(status, view(headers), count, view(text),
                                                   more != 0 ? wire::More::kYes : wire::More::kNo);
                                },
                            .write =
                                [](void* host, sterna_bytes_v1 part) {
                                  const std::scoped_lock lock(of(host).mutex_);
                                  return of(host).send_parts(view(part), wire::More::kYes) ? 1 : 0;
                                },
                            .end = [](void* host) { of(host).end(); },
                            .fail =
                                [](void* host, sterna_bytes_v1 text) {
                                  flush_log_streams();
                                  const std::scoped_lock lock(of(host).mutex_);
                                  of(host).channel_.log(of(host).id_.call, wire::Stream::kStderr,
                                                        std::string(view(text)) + "\n");
                                  of(host).fail(wire::FailKind::kRaised, view(text));
                                },
                            .is_cancelled =
                                [](void* host) {
                                  const std::scoped_lock lock(of(host).mutex_);
                                  return of(host).window_.is_cancelled() ? 1 : 0;
                                }};
  const LogOwner owner(id_.call);
  mutex_.unlock();
  started_ns_ = worker::now_ns();
  handler(&call);
  const std::uint64_t ran = run_ns();
  mutex_.lock();
  if (!ended_) fail(wire::FailKind::kBadResponse, "the handler returned without an answer");
  return ran;
}

std::uint64_t CppCall::run_ns() const {
  return worker::now_ns() - started_ns_;
}

void CppCall::respond(std::uint32_t status, std::string_view headers, std::uint32_t header_count,
                      std::string_view body, wire::More more) {
  flush_log_streams();  // before the call's last frame, and without the mutex that it takes
  const std::scoped_lock lock(mutex_);
  if (status < kMinStatus || status > kMaxStatus || headers.size() > wire::kMaxHeaderBytes) {
    const char* const why = headers.size() > wire::kMaxHeaderBytes
                                ? "the answer's headers are larger than 64 KiB"
                                : "the answer's status is not from 200 to 599";
    channel_.log(id_.call, wire::Stream::kStderr, std::string(why) + "\n");
    return fail(wire::FailKind::kBadResponse, why);
  }
  if (more == wire::More::kYes) {
    return append_head(status, headers, header_count, wire::kUnknownLength, {}, more);
  }
  // Most answers fit into the first window.
  if (body.size() < kMaxPart) return append_head(status, headers, header_count, body.size(), body, more);
  append_head(status, headers, header_count, body.size(), {}, wire::More::kYes);
  send_parts(body, wire::More::kNo);
}

void CppCall::append_head(std::uint32_t status, std::string_view headers, std::uint32_t header_count,
                          std::uint64_t content_length, std::string_view body, wire::More more) {
  std::string& out = channel_.out();
  if (more == wire::More::kNo) channel_.lines().end_call(out, id_.call);
  const std::size_t offset = wire::open_frame(out, wire::FrameType::kResponse, more, id_.slot, id_.call);
  wire::append_response(out,
                        {.status = status,
                         .run_ns = run_ns(),
                         .content_length = content_length,
                         .header_count = header_count,
                         .headers = headers},
                        body);
  wire::close_frame(out, offset);
  answered_ = true;
  ended_ = more == wire::More::kNo;
}

// False: the caller is gone, and the call has ended as cancelled.
bool CppCall::send_parts(std::string_view bytes, wire::More more) {
  if (!answered_ || ended_) return false;
  while (!bytes.empty()) {
    const std::size_t room = window_.take(std::min(bytes.size(), kMaxPart));
    if (room == 0) {
      fail(wire::FailKind::kCancelled, "cancelled");
      return false;
    }
    ended_ = more == wire::More::kNo && room == bytes.size();
    if (ended_) channel_.lines().end_call(channel_.out(), id_.call);
    wire::append_frame(channel_.out(), wire::FrameType::kResponseBody,
                       ended_ ? wire::More::kNo : wire::More::kYes, id_.slot, id_.call,
                       bytes.substr(0, room));
    bytes.remove_prefix(room);
  }
  channel_.flush();
  return true;
}

void CppCall::end() {
  flush_log_streams();
  const std::scoped_lock lock(mutex_);
  if (!answered_ || ended_) return;
  channel_.lines().end_call(channel_.out(), id_.call);
  wire::append_frame(channel_.out(), wire::FrameType::kResponseBody, wire::More::kNo, id_.slot, id_.call, {});
  ended_ = true;
}

void CppCall::fail(wire::FailKind kind, std::string_view text) {
  if (ended_) return;
  channel_.fail_call(id_.slot, id_.call, {.kind = kind, .run_ns = run_ns(), .text = text});
  ended_ = true;
}

}  // namespace sterna::native
