// The worker's channel in Node's event loop: many frames are read and handed to JavaScript at once, answers
// gather and leave in one write when the loop's turn ends.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <memory>
#include <string>

#include "worker/channel.h"
#include "worker/flusher.h"

namespace sterna::node {

// What JavaScript is told of one arrival beside its call's number: so many numbers, in this order. The
// offsets are into the bytes that come along; there a request is as its frame's payload.
enum Field : std::uint8_t {
  kKind,  // an Arrival::Kind
  kSlot,
  kAt,  // of a window: how many bytes it grants
  kBodyAt,
  kEnd,
  kFieldCount,
};
inline constexpr std::size_t kMaxBatch = 512;             // arrivals handed over at once
inline constexpr std::size_t kMaxBatchBytes = 1U << 20U;  // and no more when their requests have so many

// The loop's thread only, but for what the bell's thread does under the guard. It stays until its process
// ends, or until `close`.
class Connection {
 public:
  // Fails with io.
  static Result<Connection*> open(napi_env env, UniqueFd socket, UniqueFd claim);

  // Calls `on_arrivals(count, bytes)` for what comes, with the numbers in the arrays that `fields` and
  // `calls` gave; (-1, null) when the server is gone.
  void start(napi_value on_arrivals);
  napi_value fields() const { return value_of(fields_); }
  napi_value calls() const { return value_of(calls_); }
  // The slots of the claim page. Once.
  napi_value claims();
  // Hands over what was read together with INIT.
  void deliver();

  // Takes the connection out of the loop and frees it.
  void close();

  worker::Channel& channel() { return *channel_; }
  worker::MutexGuard& guard() { return guard_; }
  std::string& scratch() { return scratch_; }

  // Something was appended: it leaves with the end of the turn.
  void flush_soon();
  void flush_now();

 private:
  explicit Connection(napi_env env) : env_(env) {}

  static void on_socket(uv_poll_t* poll, int status, int events);
  void read();
  std::size_t gather();
  napi_value value_of(napi_ref reference) const;
  std::int32_t* add(worker::Arrival::Kind kind, std::uint64_t call, std::uint16_t slot);
  bool add_request(std::uint64_t call, std::uint16_t slot, std::string_view payload);
  bool add_frame(const wire::Frame& frame);
  void hand_over(std::size_t count);
  void call_javascript(double count, napi_value bytes);

  napi_env env_;
  worker::MutexGuard guard_;
  std::unique_ptr<worker::Channel> channel_;
  std::unique_ptr<worker::Flusher> flusher_;
  napi_async_context context_ = nullptr;
  napi_ref on_arrivals_ = nullptr;
  napi_ref fields_ = nullptr;
  napi_ref calls_ = nullptr;
  std::int32_t* field_numbers_ = nullptr;  // the memory of `fields_`
  double* call_numbers_ = nullptr;         // and of `calls_`
  std::size_t count_ = 0;                  // of arrivals in both
  std::string bytes_;
  std::string scratch_;
  uv_poll_t poll_{};
  uv_prepare_t before_wait_{};
  uv_check_t after_wait_{};
  int open_handles_ = 0;
  bool started_ = false;
  bool delivering_ = false;
  bool flush_planned_ = false;
  bool waits_for_room_ = false;
};

}  // namespace sterna::node
