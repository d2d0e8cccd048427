#include "net/http2_session.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/log.h"
#include "net/http_server.h"

namespace sterna::net {
namespace {

constexpr std::size_t kMaxOut = 64U << 10;         // gathered for one write
constexpr std::int32_t kStreamWindow = 256 << 10;  // bytes of a body on their way
constexpr std::int32_t kSessionWindow = 1 << 20;
// Beyond the limit of a head, or of trailers. A byte may name 4,000 in the table of names and values: who
// sends more than this is not read to the end, as a refusal would need it.
constexpr std::size_t kMaxHeadOverrun = 64U << 10;
// Of answers given whole, before further requests wait; and requests whose answers may be large under way.
constexpr std::size_t kMaxUntaken = 1U << 20;
constexpr std::size_t kMaxLongAnswers = 4;
// Of an answer's head, as nghttp2 counts before it compresses: 12 bytes for each field, and all of its bytes.
// Who answers has a limit of 64 KiB, of which a field takes at least nine; what is larger is no answer.
constexpr std::size_t kMaxAnswerHead = 256U << 10;
// A client may give up requests, but not in a way that is only work for us (CVE-2023-44487).
constexpr double kMaxResets = 200;
constexpr double kResetsForgiven = 20;  // a second

Http2Session& self_of(void* user) {
  return *static_cast<Http2Session*>(user);
}

std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

// What nghttp2 calls while it reads or writes. Nothing here may make it read or write again.
struct Http2Session::Callbacks {
  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Session& self = self_of(user);
    if (!self.transport_) return NGHTTP2_ERR_CALLBACK_FAILURE;
    self.head_since_ = self.server_.loop_.now();
    self.head_bytes_ = 0;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) self.open_stream(frame->hd.stream_id);
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_bytes, const std::uint8_t* value, std::size_t value_bytes,
                       std::uint8_t, void* user) {
    Http2Session& self = self_of(user);
    if (!self.has_room_for_field(name_bytes + value_bytes)) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    Http2Stream* stream =
        frame->headers.cat == NGHTTP2_HCAT_REQUEST ? self.find(frame->hd.stream_id) : nullptr;
    if (stream != nullptr)  // trailers are dropped
      stream->on_field(text_of(name, name_bytes), text_of(value, value_bytes));
    if (self.decoded_ < kReadShare) return 0;
    self.in_midst_ = true;
    return NGHTTP2_ERR_PAUSE;
  }

  // Left to itself, nghttp2 drops such a field: a request that is not what the client sent is refused
  // instead.
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*,
                               std::size_t name_bytes, const std::uint8_t*, std::size_t value_bytes,
                               std::uint8_t, void* user) {
    static_cast<void>(self_of(user).has_room_for_field(name_bytes + value_bytes));
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Session& self = self_of(user);
    if (!self.transport_) return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (frame->hd.type == NGHTTP2_HEADERS) self.head_since_ = MonotonicTime::max();
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Http2Stream* stream = self.find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const auto end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 ? EndOfStream::kYes : EndOfStream::kNo;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      stream->on_head(end);
    } else if (end == EndOfStream::kYes) {
      stream->on_end();
    }
    return 0;
  }

  static int on_data_chunk(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                           std::size_t bytes, void* user) {
    if (Http2Stream* stream = self_of(user).find(id)) stream->on_data(text_of(data, bytes));
    return 0;
  }

  static int on_frame_send(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const bool ends = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                      (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (!ends) return 0;
    if (Http2Stream* stream = self_of(user).find(frame->hd.stream_id)) stream->on_answer_left();
    return 0;
  }

  // A head that is too large, for one: without this nobody would hear of it.
  static int on_frame_not_send(nghttp2_session*, const nghttp2_frame* frame, int error, void* user) {
    Http2Stream* stream = self_of(user).find(frame->hd.stream_id);
    const bool has_ended = error == NGHTTP2_ERR_STREAM_CLOSED || error == NGHTTP2_ERR_STREAM_CLOSING;
    if (frame->hd.type != NGHTTP2_HEADERS || stream == nullptr || has_ended) return 0;
    log::warn("the head of an answer cannot be sent over HTTP/2",
              {{"why", std::string_view(nghttp2_strerror(error))}});
    stream->give_up();
    return 0;
  }

  static int on_stream_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* user) {
    self_of(user).close_stream(id);
    return 0;
  }

  static ssize_t read_answer(nghttp2_session*, std::int32_t id, std::uint8_t* to, std::size_t bytes,
                             std::uint32_t* flags, nghttp2_data_source*, void* user) {
    Http2Session& self = self_of(user);
    Http2Stream* stream = self.find(id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const std::size_t taken = stream->take({to, bytes});
    if (taken > 0) self.touched_.push_back(id);
    if (stream->aborted_)  // all that was written has left: the stream is reset
      return taken > 0 ? static_cast<ssize_t>(taken) : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (stream->buffered() == 0 && stream->is_answered()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (taken == 0 && (*flags & NGHTTP2_DATA_FLAG_EOF) == 0) {
      stream->deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(taken);
  }
};

Http2Session::SessionPtr Http2Session::make_session(Http2Session& self) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
  nghttp2_session* session = nullptr;
  STERNA_ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, &Callbacks::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, &Callbacks::on_header);
  nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, &Callbacks::on_invalid_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &Callbacks::on_frame_recv);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &Callbacks::on_data_chunk);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, &Callbacks::on_frame_send);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, &Callbacks::on_frame_not_send);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &Callbacks::on_stream_close);
  nghttp2_option_set_no_closed_streams(option, 1);  // kept for priorities only, which are not ours
  nghttp2_option_set_max_send_header_block_length(option, kMaxAnswerHead);
  STERNA_ASSERT(nghttp2_session_server_new2(&session, callbacks, &self, option) == 0);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  return SessionPtr(session);
}

Http2Session::Http2Session(HttpServer& server, Transport transport, std::string client)
    : ServerConnection(server, std::move(transport)),
      client_(std::move(client)),
      session_(make_session(*this)),
      idle_since_(server.loop_.now()),
      progress_(idle_since_),
      resets_at_(idle_since_) {}

Http2Session::~Http2Session() = default;

void Http2Session::start(std::string_view bytes) {
  const HttpLimits& limits = server_.limits_;
  const std::array settings = {
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.max_streams},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                             static_cast<std::uint32_t>(limits.max_header_bytes)},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 0}};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0, kSessionWindow);
  if (server_.draining_) drain();
  feed(bytes);
  if (transport_ && in_midst_) server_.loop_.tell_again(*this, EPOLLIN);
}

// --- reading ---

void Http2Session::on_event(std::uint32_t events) {
  if (!transport_) return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return close();
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) read();
  if (transport_ && (events & EPOLLOUT) != 0) server_.loop_.at_turn_end(*this);
}

// Its share counts what heads are when they are decoded, too: that is the work they make.
void Http2Session::read() {
  std::vector<char>& scratch = server_.loop_.scratch();
  decoded_ = 0;
  for (std::size_t taken = 0; transport_;) {
    if (std::max(taken, decoded_) >= kReadShare) return server_.loop_.tell_again(*this, EPOLLIN);
    if (out_.size() - out_sent_ >= kMaxOut) {  // who does not take our bytes is not listened to
      read_paused_ = true;
      return;
    }
    if (std::exchange(in_midst_, false)) {
      const std::string rest = std::exchange(rest_, {});
      taken += rest.size();
      feed(rest);
      continue;
    }
    const ssize_t got = transport_.read(scratch.data(), scratch.size());
    if (got > 0) {
      taken += static_cast<std::size_t>(got);
      feed({scratch.data(), static_cast<std::size_t>(got)});
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got < 0 && errno == EAGAIN) {
      return;
    } else {
      return close();
    }
  }
}

void Http2Session::feed(std::string_view bytes) {
  const ssize_t used = nghttp2_session_mem_recv(
      session_.get(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (!transport_) return;
  // Floods of what must be answered, a broken preface, no memory: there is nobody to talk to.
  if (used < 0) {
    log::debug("an HTTP/2 connection is closed",
               {{"why", std::string_view(nghttp2_strerror(static_cast<int>(used)))}});
    return close();
  }
  if (in_midst_) rest_ = bytes.substr(static_cast<std::size_t>(used));
  server_.loop_.at_turn_end(*this);
}

// Of the head or the trailers that come. False: they are too large by far, and the connection ends.
bool Http2Session::has_room_for_field(std::size_t bytes) {
  decoded_ += bytes + kFieldOverhead;
  head_bytes_ += bytes + kFieldOverhead;
  if (head_bytes_ <= server_.limits_.max_header_bytes + kMaxHeadOverrun) return true;
  end(NGHTTP2_ENHANCE_YOUR_CALM);
  return false;
}

Http2Stream* Http2Session::find(std::int32_t id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void Http2Session::open_stream(std::int32_t id) {
  streams_.emplace(id, std::make_unique<Http2Stream>(*this, id, client_));
}

void Http2Session::close_stream(std::int32_t id) {
  auto closed = streams_.extract(id);
  if (closed.empty()) return;
  const Http2Stream& stream = *closed.mapped();
  if (!stream.aborted_ && !stream.has_left()) count_reset();  // whatever code it is given up with
  if (streams_.empty()) idle_since_ = server_.loop_.now();
  closed_.push_back(std::move(closed.mapped()));
  closed_.back()->on_closed();
  server_.loop_.at_turn_end(*this);
}

void Http2Session::count_reset() {
  const MonotonicTime now = server_.loop_.now();
  const double forgiven = std::chrono::duration<double>(now - resets_at_).count() * kResetsForgiven;
  resets_ = std::max(0.0, resets_ - forgiven) + 1;
  resets_at_ = now;
  if (resets_ > kMaxResets) end(NGHTTP2_ENHANCE_YOUR_CALM);
}

// --- writing ---

void Http2Session::touch(std::int32_t id) {
  touched_.push_back(id);
  server_.loop_.at_turn_end(*this);
}

// Who gives no window, or does not read, would otherwise have as many answers kept as it may have streams.
void Http2Session::begin_or_wait(Http2Stream& stream) {
  const Answers& before = answers(stream);
  const bool has_room =
      before.untaken < kMaxUntaken && (!stream.answers_at_length_ || before.begun < kMaxLongAnswers);
  if (has_room) return stream.start();
  stream.turn_ = Http2Stream::Turn::kWaits;
  waiting_.push_back(stream.id_);
}

void Http2Session::begin_waiting() {
  for (const std::int32_t id : std::exchange(waiting_, {})) {
    Http2Stream* stream = transport_ ? find(id) : nullptr;
    if (stream != nullptr && stream->answer_ == Http2Stream::Answer::kNone) begin_or_wait(*stream);
  }
}

void Http2Session::reset(std::int32_t id, std::uint32_t error_code) {
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, error_code);
  server_.loop_.at_turn_end(*this);
}

void Http2Session::submit(std::int32_t id, std::span<const nghttp2_nv> head, EndOfStream end) {
  nghttp2_data_provider body{};
  body.read_callback = &Callbacks::read_answer;
  nghttp2_submit_response(session_.get(), id, head.data(), head.size(),
                          end == EndOfStream::kYes ? nullptr : &body);
}

void Http2Session::on_turn_end() {
  if (transport_) flush();
  if (transport_) tell_drained();
  if (transport_) begin_waiting();
  closed_.clear();
  if (!transport_) return;
  if (read_paused_ && out_.empty()) {
    read_paused_ = false;
    server_.loop_.tell_again(*this, EPOLLIN);
  }
  const bool over =
      nghttp2_session_want_read(session_.get()) == 0 && nghttp2_session_want_write(session_.get()) == 0;
  if (out_.empty() && (over || (ending_ && streams_.empty()))) {
    transport_.shut_down();
    close();
  }
}

// Takes what nghttp2 wants to send, up to kMaxOut. False when it is broken.
bool Http2Session::fill() {
  while (out_.size() < kMaxOut) {
    const std::uint8_t* data = nullptr;
    const ssize_t bytes = nghttp2_session_mem_send(session_.get(), &data);
    if (bytes < 0) return false;
    if (bytes == 0) break;
    out_.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(bytes));
  }
  return true;
}

void Http2Session::flush() {
  while (true) {
    if (out_sent_ == out_.size()) {
      out_.clear();
      out_sent_ = 0;
      if (!fill()) return close();
      if (out_.empty()) return;
      progress_ = std::max(progress_, server_.loop_.now());
    }
    const ssize_t sent = transport_.write(out_.data() + out_sent_, out_.size() - out_sent_);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return close();
    out_sent_ += static_cast<std::size_t>(sent);
    progress_ = server_.loop_.now();
  }
}

void Http2Session::tell_drained() {
  for (const std::int32_t id : std::exchange(touched_, {})) {
    if (Http2Stream* stream = find(id)) stream->tell_drained();
    if (!transport_) return;
  }
}

// --- ending ---

// No new requests; closes when those that are under way have ended, at once when it is the client's fault.
void Http2Session::end(std::uint32_t error_code) {
  if (std::exchange(ending_, true)) return;
  if (error_code == NGHTTP2_NO_ERROR) {
    nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session_.get()), error_code, nullptr, 0);
  } else {
    nghttp2_session_terminate_session(session_.get(), error_code);
  }
  server_.loop_.at_turn_end(*this);
}

void Http2Session::drain() {
  end(NGHTTP2_NO_ERROR);
  for (auto& [id, stream] : streams_) stream->tell_server_ends();
  const bool only_half_a_head = streams_.size() == 1 && is_in_head();
  if (!only_half_a_head || has_unread()) return;
  flush();  // the GOAWAY
  close();
}

bool Http2Session::give_way() {
  if (!out_.empty()) {
    if (server_.loop_.now() < progress_ + kUnread) return false;
  } else if (has_unread() || !std::ranges::all_of(streams_, [](const auto& each) {
               return each.second->waits_for_client();
             })) {
    return false;
  }
  end(NGHTTP2_NO_ERROR);
  flush();
  close();
  return true;
}

void Http2Session::close() {
  if (!transport_) return;
  for (auto& [id, stream] : streams_) stream->on_closed();
  leave();
}

void Http2Session::check_deadline(MonotonicTime now) {
  if (!transport_) return;
  const HttpLimits& limits = server_.limits_;
  const bool is_needed =
      !std::ranges::all_of(streams_, [](const auto& each) { return each.second->aborted_; });
  const Duration stall = is_needed ? limits.write_stall : server_.patience(limits.write_stall);
  if (!out_.empty() && now >= progress_ + stall) return close();
  if (is_in_head() && now >= head_since_ + limits.header_timeout) return close();
  if (streams_.empty()) {
    if (now < idle_since_ + limits.keepalive) return;
    if (ending_) return close();  // it does not take our GOAWAY
    return end(NGHTTP2_NO_ERROR);
  }
  for (auto& [id, stream] : streams_) stream->check_deadline(now);
}

}  // namespace sterna::net
