#include "connection.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "arguments.h"

namespace sterna::node {
namespace {

using worker::Arrival;
using worker::Channel;

constexpr int kExitBrokenStream = 70;  // EX_SOFTWARE
constexpr std::size_t kKeepBytes = 1U << 20;

[[noreturn]] void end_broken(const Error& error) {
  const std::string text = "sterna: the connection to the server broke: " + error.detail + "\n";
  static_cast<void>(::write(STDERR_FILENO, text.data(), text.size()) < 0);
  ::_exit(kExitBrokenStream);
}

class HandleScope {
 public:
  explicit HandleScope(napi_env env) : env_(env) { must(napi_open_handle_scope(env, &scope_)); }
  HandleScope(const HandleScope&) = delete;
  HandleScope& operator=(const HandleScope&) = delete;
  ~HandleScope() { napi_close_handle_scope(env_, scope_); }

 private:
  napi_env env_;
  napi_handle_scope scope_ = nullptr;
};

napi_value text_value(napi_env env, const char* text) {
  napi_value value = nullptr;
  must(napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value));
  return value;
}

// A typed array that both languages know; answers its memory.
template <class Number>
Number* new_numbers(napi_env env, napi_typedarray_type type, std::size_t count, napi_ref& reference) {
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  void* memory = nullptr;
  must(napi_create_arraybuffer(env, count * sizeof(Number), &memory, &buffer));
  must(napi_create_typedarray(env, type, count, buffer, 0, &array));
  must(napi_create_reference(env, array, 1, &reference));
  return static_cast<Number*>(memory);
}

template <class Handle>
uv_handle_t* as_handle(Handle& handle) {
  return reinterpret_cast<uv_handle_t*>(&handle);
}

}  // namespace

Result<Connection*> Connection::open(napi_env env, UniqueFd socket, UniqueFd claim) {
  std::unique_ptr<Connection> made(new Connection(env));
  auto channel = Channel::open(std::move(socket), std::move(claim), made->guard_);
  if (!channel) return std::unexpected(channel.error());
  made->channel_ = std::move(*channel);
  made->flusher_ = std::make_unique<worker::Flusher>(*made->channel_);
  made->field_numbers_ =
      new_numbers<std::int32_t>(env, napi_int32_array, kMaxBatch * kFieldCount, made->fields_);
  made->call_numbers_ = new_numbers<double>(env, napi_float64_array, kMaxBatch, made->calls_);
  must(napi_async_init(env, nullptr, text_value(env, "sterna"), &made->context_));
  return made.release();
}

napi_value Connection::value_of(napi_ref reference) const {
  napi_value value = nullptr;
  must(napi_get_reference_value(env_, reference, &value));
  return value;
}

napi_value Connection::claims() {
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  must(napi_create_external_arraybuffer(
      env_, channel_->claims().slots, sizeof channel_->claims().slots, [](napi_env, void*, void*) {}, nullptr,
      &buffer));
  must(napi_create_typedarray(env_, napi_int32_array, wire::kSlots, buffer, 0, &array));
  return array;
}

void Connection::start(napi_value on_arrivals) {
  must(napi_create_reference(env_, on_arrivals, 1, &on_arrivals_));
  uv_loop_t* loop = nullptr;
  must(napi_get_uv_event_loop(env_, &loop));
  uv_prepare_init(loop, &before_wait_);
  uv_check_init(loop, &after_wait_);
  before_wait_.data = after_wait_.data = poll_.data = this;
  open_handles_ = 2;
  started_ = true;
  if (uv_poll_init(loop, &poll_, channel_->fd()) != 0) return call_javascript(-1, null_value(env_));
  ++open_handles_;
  uv_poll_start(&poll_, UV_READABLE, &Connection::on_socket);
}

void Connection::close() {
  flusher_.reset();
  napi_delete_reference(env_, fields_);
  napi_delete_reference(env_, calls_);
  napi_async_destroy(env_, context_);
  if (!started_) {
    delete this;
    return;
  }
  napi_delete_reference(env_, on_arrivals_);
  const auto on_closed = [](uv_handle_t* handle) {
    auto* const self = static_cast<Connection*>(handle->data);
    if (--self->open_handles_ == 0) delete self;
  };
  if (open_handles_ == 3) uv_close(as_handle(poll_), on_closed);
  uv_close(as_handle(before_wait_), on_closed);
  uv_close(as_handle(after_wait_), on_closed);
}

void Connection::on_socket(uv_poll_t* poll, int /*status*/, int events) {
  auto* const self = static_cast<Connection*>(poll->data);
  if ((events & UV_WRITABLE) != 0) self->flush_now();
  self->read();  // also after a failure: reading tells that the server is gone
}

void Connection::read() {
  Channel::Filled filled{};
  {
    const std::lock_guard<std::mutex> guarded(guard_.mutex());
    filled = channel_->fill(worker::Wait::kNo);
  }
  if (filled == Channel::Filled::kBytes) return deliver();
  if (filled == Channel::Filled::kNothing) return;
  uv_poll_stop(&poll_);
  const HandleScope scope(env_);
  call_javascript(-1, null_value(env_));
}

void Connection::deliver() {
  delivering_ = true;
  while (const std::size_t count = gather()) hand_over(count);
  delivering_ = false;
  flush_now();
}

// Cuts what was read into arrivals; answers how many there are, 0 when a whole frame is missing.
std::size_t Connection::gather() {
  bytes_.clear();
  if (bytes_.capacity() > kKeepBytes) bytes_ = std::string();
  count_ = 0;
  std::size_t requests = 0;
  while (count_ != kMaxBatch && bytes_.size() < kMaxBatchBytes) {
    const auto read = channel_->reader().next();
    if (!read) end_broken(read.error());
    const std::optional<wire::Frame>& frame = *read;
    if (!frame) break;
    if (add_frame(*frame)) ++requests;
  }
  // Answers of the first may be held while the next ones run, if someone sends them when that takes long.
  if (requests > 1) static_cast<void>(flusher_->listens());
  return count_;
}

// Whether it was a request.
bool Connection::add_frame(const wire::Frame& frame) {
  const bool is_whole = frame.type == wire::FrameType::kRequest && frame.more == wire::More::kNo;
  if (is_whole && frame.slot < wire::kSlots) return add_request(frame.call, frame.slot, frame.payload);
  const auto arrival = channel_->inbox().accept(frame);
  if (!arrival) end_broken(arrival.error());
  if (arrival->kind == Arrival::Kind::kNothing) return false;
  if (arrival->kind == Arrival::Kind::kRequest)
    return add_request(arrival->call, arrival->slot, arrival->payload);
  constexpr std::uint32_t kMost = INT32_MAX;
  add(arrival->kind, arrival->call, arrival->slot)[kAt] =
      static_cast<std::int32_t>(std::min(arrival->bytes, kMost));
  return false;
}

std::int32_t* Connection::add(Arrival::Kind kind, std::uint64_t call, std::uint16_t slot) {
  call_numbers_[count_] = static_cast<double>(call);
  std::int32_t* const fields = field_numbers_ + count_++ * kFieldCount;
  fields[kKind] = static_cast<std::int32_t>(kind);
  fields[kSlot] = slot;
  return fields;
}

bool Connection::add_request(std::uint64_t call, std::uint16_t slot, std::string_view payload) {
  wire::RequestHead head;
  std::string_view body;
  if (const Status read = wire::read_request(payload, head, body); !read) end_broken(read.error());
  std::int32_t* const fields = add(Arrival::Kind::kRequest, call, slot);
  fields[kAt] = static_cast<std::int32_t>(bytes_.size());
  bytes_.append(payload);
  fields[kEnd] = static_cast<std::int32_t>(bytes_.size());
  fields[kBodyAt] = static_cast<std::int32_t>(bytes_.size() - body.size());
  return true;
}

void Connection::hand_over(std::size_t count) {
  const HandleScope scope(env_);
  napi_value bytes = nullptr;
  must(napi_create_buffer_copy(env_, bytes_.size(), bytes_.data(), nullptr, &bytes));
  call_javascript(static_cast<double>(count), bytes);
}

// Runs what the call has made due (ticks, promises) before it comes back.
void Connection::call_javascript(double count, napi_value bytes) {
  napi_value function = nullptr;
  napi_value global = nullptr;
  must(napi_get_reference_value(env_, on_arrivals_, &function));
  must(napi_get_global(env_, &global));
  const napi_value arguments[] = {to_value(env_, count), bytes};
  if (napi_make_callback(env_, context_, global, function, 2, arguments, nullptr) == napi_ok) return;
  napi_value error = nullptr;
  must(napi_get_and_clear_last_exception(env_, &error));
  napi_fatal_exception(env_, error);
}

void Connection::flush_soon() {
  if (delivering_ || flush_planned_ || !started_) return;
  flush_planned_ = true;
  // Before the loop waits again, or after what this wait has brought.
  uv_prepare_start(&before_wait_,
                   [](uv_prepare_t* each) { static_cast<Connection*>(each->data)->flush_now(); });
  uv_check_start(&after_wait_, [](uv_check_t* each) { static_cast<Connection*>(each->data)->flush_now(); });
}

void Connection::flush_now() {
  if (flush_planned_) {
    uv_prepare_stop(&before_wait_);
    uv_check_stop(&after_wait_);
    flush_planned_ = false;
  }
  bool left = false;
  {
    const std::lock_guard<std::mutex> guarded(guard_.mutex());
    left = !channel_->try_flush() && !channel_->closed();
  }
  if (left == waits_for_room_ || !started_) return;
  waits_for_room_ = left;
  if (!channel_->closed())
    uv_poll_start(&poll_, left ? UV_READABLE | UV_WRITABLE : UV_READABLE, &Connection::on_socket);
}

}  // namespace sterna::node
