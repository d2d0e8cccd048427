#include "pool/worker.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "pool/hello.h"
#include "pool/response_check.h"

namespace sterna::pool {
namespace {

constexpr std::size_t kReadBytes = 64U << 10;
// A worker can write faster than it is read: this much in a turn of the loop, so that timers and others come
// in between. A frame counts as kFrameCost bytes more than it has.
constexpr std::size_t kFramesShare = 256U << 10;
constexpr std::size_t kFrameCost = 192;
// More than a socket holds of a process that has ended.
constexpr std::size_t kLastWords = 4U << 20;
// Room to write is asked for only while output is left: the kernel tells of it with every read of the worker.
constexpr std::uint32_t kReading = EPOLLIN | EPOLLRDHUP | EPOLLET;
constexpr std::size_t kWholeBody = 256U << 10;          // bodies up to here leave in one frame
constexpr std::uint64_t kNoWindow = ~std::uint64_t{0};  // of workers that gather bodies
constexpr std::size_t kMaxBuffered = 256U << 10;
// Smaller pieces of a window wait for more: what is left of it lets the worker go on.
constexpr std::uint32_t kWindowStep = 32U << 10;
static_assert(kWindowStep <= wire::kInitialWindow / 2);
// More than wait for a worker that reads when a window is used up.
constexpr std::size_t kMaxWindows = 256U << 10;
constexpr std::size_t kWindowFrame = wire::kHeaderBytes + sizeof(std::uint32_t);
static_assert(kMaxWindows > wire::kSlots * (wire::kInitialWindow / kWindowStep) * kWindowFrame);
// Who had the rest, or lacked it, would take another answer's bytes for it.
constexpr std::string_view kNotAsLong = "a response is not as long as its content_length";
constexpr Duration kNoMemoryPause = std::chrono::milliseconds(20);
// Loading that takes less is not worth the memory of a process that only waits.
constexpr std::chrono::milliseconds kPauseAfter{100};

// The whole of INIT (wire/PROTOCOL.md).
std::string init_json(const std::string& instance, const FunctionConfig& config, const Origin& origin) {
  nlohmann::json init = {
      {"space", config.space},
      {"function", config.name},
      {"version", config.version},
      {"instance", instance},
      {"bundle", "/function"},
      {"template", config.template_name},
      {"handler", config.handler},
      {"command", config.command},
      {"network", to_string(config.network)},
      {"env", config.env},
      {"concurrency", config.concurrency.value_or(1)},
      {"async_concurrency", config.concurrency.value_or(kAsyncConcurrency)},
      {"timeout_ms", std::chrono::duration_cast<std::chrono::milliseconds>(config.timeout).count()},
      {"memory_mb", config.memory_bytes >> 20U}};
  if (!config.request_buffering) init["request_buffering"] = false;
  if (origin.may_pause) init["pause_after_ms"] = kPauseAfter.count();
  if (origin.on_trial) init["on_trial"] = true;
  return init.dump();
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::start(net::Loop& loop, WorkerObserver& observer, Launcher& launcher,
                                              LaunchObserver& launch_observer, std::string instance,
                                              const FunctionConfig& config, const Origin& origin,
                                              std::uint64_t& next_call_number, WorkerSocket::Guard guard) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail_errno(Component::kPool, "cannot make a worker's socket", errno);
  }
  WorkerSocket ours(UniqueFd(ends[0]), guard);
  WorkerDescriptors theirs{UniqueFd(ends[1]), {}, {}};
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  const int buffer = 512 << 10;
  ::setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  ::setsockopt(theirs.socket.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail_errno(Component::kPool, "cannot make a worker's pipe", errno);
  UniqueFd output(ends[0]);
  theirs.output.reset(ends[1]);
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);

  theirs.claim_page.reset(::memfd_create("sterna-claims", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  // User code may get at it: a page that it cut off would be a SIGBUS of ours.
  if (!theirs.claim_page || ::ftruncate(theirs.claim_page.get(), sizeof(wire::ClaimPage)) != 0 ||
      ::fcntl(theirs.claim_page.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return fail_errno(Component::kPool, "cannot make a worker's claim page", errno);
  }
  void* page = ::mmap(nullptr, sizeof(wire::ClaimPage), PROT_READ | PROT_WRITE, MAP_SHARED,
                      theirs.claim_page.get(), 0);
  if (page == MAP_FAILED) return fail_errno(Component::kPool, "cannot map a worker's claim page", errno);

  std::unique_ptr<Worker> worker(new Worker(loop, observer, std::move(instance), std::move(ours),
                                            *static_cast<wire::ClaimPage*>(page), std::move(output), origin,
                                            next_call_number,
                                            config.request_buffering ? kNoWindow : wire::kInitialWindow));
  worker->watched_ = kReading;
  if (auto added = loop.add(worker->socket_.get(), *worker, kReading); !added)
    return std::unexpected(added.error());
  wire::append_frame(worker->out_, wire::FrameType::kInit, wire::More::kNo, 0, 0,
                     init_json(worker->instance_, config, origin));
  loop.at_turn_end(*worker);
  launcher.start(worker->instance_, config, std::move(theirs), origin, launch_observer);
  return worker;
}

Worker::Worker(net::Loop& loop, WorkerObserver& observer, std::string instance, WorkerSocket socket,
               wire::ClaimPage& claims, UniqueFd output, const Origin& origin,
               std::uint64_t& next_call_number, std::uint64_t body_window)
    : TurnEnd(When::kEarly),  // it runs calls while other callers are answered
      loop_(loop),
      observer_(observer),
      instance_(std::move(instance)),
      socket_(std::move(socket)),
      claims_(claims),
      next_call_number_(next_call_number),
      may_pause_(origin.may_pause),
      body_window_(body_window),
      idle_since_(loop.now()) {
  output_ = std::make_unique<WorkerOutput>(loop_, std::move(output),
                                           [this](std::string_view text) { on_output(text); });
}

// A worker that runs one call at a time wrote it during that call.
void Worker::on_output(std::string_view text) {
  const bool known = !is_async_ && calls_.size() == 1;
  observer_.on_log(*this, wire::Stream::kStdout,
                   known ? std::string_view(calls_.front().id) : std::string_view(), text);
}

Worker::~Worker() {
  loop_.forget(*this);
  if (flush_timer_) loop_.cancel(*flush_timer_);
  if (read_pause_) loop_.cancel(*read_pause_);
  if (socket_) loop_.remove(socket_.get(), *this);
  calls_.clear();
  output_.reset();  // its last line may come now
  ::munmap(&claims_, sizeof claims_);
}

// --- towards the worker ---

void Worker::send(Call& call) {
  if (free_slots_.empty()) {
    STERNA_ASSERT(slots_.size() < wire::kSlots);
    free_slots_.push_back(static_cast<std::uint16_t>(slots_.size()));
    slots_.emplace_back();
  }
  call.slot_ = free_slots_.back();
  free_slots_.pop_back();
  call.worker_ = this;
  call.number_ = next_call_number_++;
  call.body_sent_ = 0;
  call.body_window_ = body_window_;
  call.body_ended_ = false;
  call.window_ = wire::kInitialWindow;
  call.taken_ = 0;
  call.answered_ = false;
  slots_[call.slot_] = {
      .call = &call, .number = call.number_, .cancelled_id = {}, .cancelled_until = MonotonicTime::max()};
  calls_.push_back(call);
  claims_.set(call.slot_, wire::Claim::kQueued);

  const std::uint64_t size = call.body == nullptr ? 0 : call.body->size();
  if (size == 0 && call.body_more == wire::More::kNo) {
    call.body_ended_ = true;
    wire::append_frame(out_, wire::FrameType::kRequest, wire::More::kNo, call.slot_, call.number_,
                       call.request);
  } else {
    write_body(call, wire::FrameType::kRequest, call.request, size <= kWholeBody ? kWholeBody : 0);
    if (has_to_send(call)) pumping_.push_back(&call);
  }
  loop_.at_turn_end(*this);
}

void Worker::body_grew(Call& call) {
  if (state_ == State::kLost || !has_to_send(call)) return;
  if (std::ranges::find(pumping_, &call) == pumping_.end()) pumping_.push_back(&call);
  loop_.at_turn_end(*this);
}

bool Worker::has_to_send(const Call& call) {
  if (call.body_ended_) return false;
  return call.body_sent_ < call.body->size() ? call.body_window_ > 0 : call.body_more == wire::More::kNo;
}

void Worker::write_body(Call& call, wire::FrameType type, std::string_view head, std::size_t limit) {
  const std::size_t header = wire::open_frame(out_, type, wire::More::kNo, call.slot_, call.number_);
  out_ += head;
  limit = static_cast<std::size_t>(std::min<std::uint64_t>(limit, call.body_window_));
  while (limit > 0 && call.body_sent_ < call.body->size()) {
    const auto got = call.body->read(call.body_sent_, limit, out_);
    if (!got) return lose(got.error().detail);
    call.body_sent_ += *got;
    if (body_window_ != kNoWindow) call.body_window_ -= *got;
    limit -= *got;
  }
  wire::close_frame(out_, header);
  call.body_ended_ = call.body_sent_ == call.body->size() && call.body_more == wire::More::kNo;
  if (!call.body_ended_) wire::set_more(out_, header, wire::More::kYes);
}

void Worker::pump() {
  while (!pumping_.empty() && out_.size() - out_sent_ < kMaxBuffered && state_ != State::kLost) {
    Call& call = *pumping_.front();
    write_body(call, wire::FrameType::kRequestBody, {}, kWholeBody);
    if (!has_to_send(call)) pumping_.erase(pumping_.begin());
  }
}

bool Worker::keeps_waiting(MonotonicTime then) const {
  for (const Call& call : calls_) {
    if (call.dispatched > then) return false;
    if (waits_inside(call)) return true;
  }
  return false;
}

bool Worker::has_begun() const {
  return std::ranges::any_of(calls_, [this](const Call& call) { return !waits_inside(call); });
}

// The page is the worker's to write: of a call that it has begun to answer its word counts for nothing.
bool Worker::waits_inside(const Call& call) const {
  return !call.answered_ && claims_.get(call.slot_) == wire::Claim::kQueued;
}

bool Worker::take_back(Call& call) {
  if (call.answered_ || !claims_.swap_from_queued(call.slot_, wire::Claim::kRecalled)) return false;
  std::erase(pumping_, &call);
  if (!call.body_ended_) {  // so that the worker need not wait for the rest of a body
    wire::append_frame(out_, wire::FrameType::kRequestBody, wire::More::kNo, call.slot_, call.number_, {});
    loop_.at_turn_end(*this);
  }
  slots_[call.slot_].call = nullptr;  // free again when RECALLED comes
  calls_.erase(calls_.iterator_to(call));
  call.worker_ = nullptr;
  return true;
}

void Worker::cancel(Call& call, Duration grace) {
  if (take_back(call)) return;
  std::erase(pumping_, &call);  // no end is told: a part must not be taken for the whole
  wire::append_frame(out_, wire::FrameType::kCancel, wire::More::kNo, call.slot_, call.number_, {});
  loop_.at_turn_end(*this);
  slots_[call.slot_].call = nullptr;
  slots_[call.slot_].cancelled_id = call.id;  // what it logs until its last frame is of that call
  calls_.erase(calls_.iterator_to(call));
  call.worker_ = nullptr;
  slots_[call.slot_].cancelled_until = loop_.now() + grace;
  ++cancelled_;
}

bool Worker::stuck(MonotonicTime now) const {
  return cancelled_ > 0 && std::ranges::any_of(slots_, [now](const Slot& slot) {
           return slot.call == nullptr && now >= slot.cancelled_until;
         });
}

void Worker::grant(Call& call, std::uint32_t bytes) {
  call.taken_ += bytes;
  if (call.taken_ < kWindowStep || state_ == State::kLost) return;
  const std::size_t header =
      wire::open_frame(out_, wire::FrameType::kWindow, wire::More::kNo, call.slot_, call.number_);
  wire::append_window(out_, call.taken_);
  wire::close_frame(out_, header);
  call.window_ += std::exchange(call.taken_, 0);
  windows_ += kWindowFrame;
  if (windows_ > kMaxWindows) return lose("it does not read what is sent to it");
  loop_.at_turn_end(*this);
}

void Worker::retire() {
  if (state_ == State::kRetiring || state_ == State::kLost) return;
  state_ = State::kRetiring;
  wire::append_frame(out_, wire::FrameType::kShutdown, wire::More::kNo, 0, 0, {});
  loop_.at_turn_end(*this);
}

void Worker::on_turn_end() {
  flush();
}

void Worker::flush() {
  if (!socket_) return;
  pump();
  while (out_sent_ < out_.size()) {
    const ssize_t sent =
        ::send(socket_.get(), out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return watch(kReading | EPOLLOUT);
    if (sent < 0 && (errno == ENOBUFS || errno == ENOMEM)) return flush_later();
    if (sent < 0) return lose({});
    out_sent_ += static_cast<std::size_t>(sent);
    if (out_sent_ == out_.size()) {
      out_.clear();
      out_sent_ = windows_ = 0;
      if (out_.capacity() > 2 * kMaxBuffered) out_.shrink_to_fit();
      pump();
    }
  }
  watch(kReading);
}

// The kernel has no memory for what would be in the socket: it does not tell when it has.
void Worker::flush_later() {
  if (flush_timer_) return;
  flush_timer_ = loop_.after(kNoMemoryPause, [this] {
    flush_timer_.reset();
    flush();
  });
}

void Worker::watch(std::uint32_t events) {
  if (!socket_ || std::exchange(watched_, events) == events) return;
  if (const Status changed = loop_.change(socket_.get(), *this, events); !changed)
    lose(changed.error().detail);
}

// --- from the worker ---

void Worker::on_event(std::uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) read_share();
  if ((events & EPOLLOUT) != 0 && socket_) flush();
}

void Worker::read_share() {
  if (read_pause_) return;
  const std::uint64_t logged_before = logged_;
  if (read(kFramesShare) == Left::kNothing) return;
  if (logged_ - logged_before < kFramesShare / 2) return loop_.tell_again(*this, EPOLLIN);
  read_pause_ = loop_.after(kWriterPause, [this] {
    read_pause_.reset();
    read_share();
  });
}

Worker::Left Worker::read(std::size_t share) {
  for (std::size_t taken = 0; socket_;) {
    if (taken >= share) return Left::kPerhapsMore;
    char* room = reader_.prepare(kReadBytes);
    const std::size_t size = std::min(reader_.writable(), kReadBytes);
    const ssize_t got = socket_.receive(room, size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      lose(got < 0 && errno == EBADMSG ? "it sent descriptors to the server" : "");
      break;
    }
    reader_.commit(static_cast<std::size_t>(got));
    taken += static_cast<std::size_t>(got) + kFrameCost * take_frames();
    if (static_cast<std::size_t>(got) < size) break;
  }
  return Left::kNothing;
}

// Answers how many there were.
std::size_t Worker::take_frames() {
  for (std::size_t count = 0; socket_; ++count) {
    const auto frame = reader_.next();
    if (!frame) lose(frame.error().detail);
    if (!frame || !*frame) return count;
    on_frame(**frame);
  }
  return 0;
}

void Worker::drain() {
  read(kLastWords);
  if (output_) output_->drain();
}

Call* Worker::find(const wire::Frame& frame) const {
  if (frame.slot >= slots_.size() || slots_[frame.slot].number != frame.call) return nullptr;
  return slots_[frame.slot].call;
}

std::string_view Worker::call_id_of(std::uint64_t number) const {
  if (number == 0) return {};
  const auto found = std::ranges::find(slots_, number, &Slot::number);
  if (found == slots_.end()) return {};
  return found->call == nullptr ? found->cancelled_id : found->call->id;
}

void Worker::on_frame(const wire::Frame& frame) {
  switch (frame.type) {
    case wire::FrameType::kReady:
    case wire::FrameType::kPaused:
    case wire::FrameType::kLoadFailed:
      return on_hello(frame);
    case wire::FrameType::kLog: {
      wire::LogText log;
      if (!wire::read_log(frame.payload, log)) return lose("a LOG frame is malformed");
      logged_ += frame.payload.size() + kFrameCost;
      return observer_.on_log(*this, log.stream, call_id_of(frame.call), log.text);
    }
    default:
      break;
  }
  const bool known = frame.slot < slots_.size() && slots_[frame.slot].number == frame.call && frame.call != 0;
  if (!known) return lose("a frame names a call that the worker does not have");
  if (Call* call = slots_[frame.slot].call) return on_call_frame(frame, *call);

  // The call was taken back or cancelled: only its end matters.
  const bool was_cancelled = slots_[frame.slot].cancelled_until != MonotonicTime::max();
  const bool drops = frame.type == wire::FrameType::kRecalled;
  if (drops == was_cancelled) return lose("a call that was taken back was run, or one that ran was dropped");
  if (drops) return free_slot(frame.slot);
  if (frame.type == wire::FrameType::kRequestWindow) return;
  if (frame.type == wire::FrameType::kResponse) has_answered_ = true;
  if (frame.more == wire::More::kYes) return;
  --cancelled_;
  free_slot(frame.slot);
  observer_.on_room(*this, std::nullopt);
}

void Worker::on_call_frame(const wire::Frame& frame, Call& call) {
  switch (frame.type) {
    case wire::FrameType::kResponse:
      return on_response(frame, call);
    case wire::FrameType::kResponseBody:
      return on_body(frame, call);
    case wire::FrameType::kFailed:
      return on_failed(frame, call);
    case wire::FrameType::kRequestWindow:
      return on_request_window(frame, call);
    default:
      return lose("a frame is not one that a worker may send");
  }
}

// A run has not been longer than the worker has had its call. It may have begun before the server saw that.
Duration Worker::believe(std::uint64_t run_ns, const Call& call) const {
  const auto most = [&](MonotonicTime now) { return std::max(now - call.dispatched, Duration::zero()); };
  const auto fits = [&](Duration time) { return run_ns <= static_cast<std::uint64_t>(time.count()); };
  if (fits(most(loop_.now()))) return Duration(run_ns);
  const Duration longest = most(loop_.clock().now());  // this turn may have begun before the run ended
  return fits(longest) ? Duration(run_ns) : longest;
}

void Worker::on_response(const wire::Frame& frame, Call& call) {
  wire::ResponseHead head;
  std::string_view body;
  if (call.answered_) return lose("a call was answered twice");
  if (!wire::read_response(frame.payload, head, body)) return lose("a RESPONSE frame is malformed");
  if (body.size() > call.window_) return lose("a response was sent beyond its window");
  if (!serves_) return lose("a call was answered before READY");
  call.run = believe(head.run_ns, call);
  call.instance = instance_;
  call.answered_ = true;
  if (const auto problem = check_response(head); !problem.empty()) {
    CallObserver* observer = call.observer;
    if (frame.more == wire::More::kYes) {
      cancel(call, Duration::zero());
      call.pool_ = nullptr;
    } else {
      release(call);
    }
    const Duration run = call.run;
    observer->on_failed(call, Failure::kBadResponse, problem);
    return observer_.on_room(*this, run);
  }
  call.left_ = head.content_length;
  if (!count_body(call.left_, body.size(), frame.more)) return lose(kNotAsLong);
  has_answered_ = true;
  if (call.timed_since_ == MonotonicTime::max()) call.timed_since_ = loop_.now();
  call.window_ -= body.size();
  const bool ends = frame.more == wire::More::kNo;
  if (ends) release(call);
  const Duration run = call.run;
  call.observer->on_response(call, head, body, frame.more);
  if (ends && socket_) observer_.on_room(*this, run);
}

void Worker::on_body(const wire::Frame& frame, Call& call) {
  if (!call.answered_) return lose("a body came before its RESPONSE");
  if (frame.payload.size() > call.window_) return lose("a response was sent beyond its window");
  if (!count_body(call.left_, frame.payload.size(), frame.more)) return lose(kNotAsLong);
  call.window_ -= frame.payload.size();
  const bool ends = frame.more == wire::More::kNo;
  if (ends) {
    call.run = loop_.now() - std::max(call.started, call.dispatched);  // that it began may not be known yet
    release(call);
  }
  const Duration run = call.run;
  call.observer->on_body(call, frame.payload, frame.more);
  if (ends && socket_) observer_.on_room(*this, run);
}

void Worker::on_request_window(const wire::Frame& frame, Call& call) {
  std::uint32_t bytes = 0;
  if (body_window_ == kNoWindow || !wire::read_window(frame.payload, bytes))
    return lose("a WINDOW frame is malformed, or came from a worker that has no window");
  call.body_window_ += bytes;
  body_grew(call);
}

void Worker::on_failed(const wire::Frame& frame, Call& call) {
  wire::Failed failed;
  if (!wire::read_failed(frame.payload, failed)) return lose("a FAILED frame is malformed");
  if (!serves_) return lose("a call was answered before READY");
  call.run = believe(failed.run_ns, call);
  call.instance = instance_;
  release(call);
  const Failure failure = failed.kind == wire::FailKind::kRaised        ? Failure::kRaised
                          : failed.kind == wire::FailKind::kBadResponse ? Failure::kBadResponse
                                                                        : Failure::kCancelled;
  if (failure == Failure::kRaised) has_answered_ = true;
  const Duration run = call.run;
  logged_ += frame.payload.size() + kFrameCost;
  call.observer->on_failed(call, failure, observer_.logged_part(failed.text));
  if (socket_) observer_.on_room(*this, run);
}

void Worker::on_hello(const wire::Frame& frame) {
  auto hello = read_hello(frame.payload);
  if (state_ == State::kLost || !hello) return lose("READY, PAUSED or LOAD_FAILED is malformed");
  if (std::exchange(greeted_, true)) return lose("of READY, PAUSED and LOAD_FAILED a worker says one, once");
  if (frame.type == wire::FrameType::kLoadFailed)
    return observer_.on_load_failed(*this, hello->summary, hello->detail);
  is_async_ = hello->async;
  runtime_ = std::move(hello->runtime);
  if (frame.type == wire::FrameType::kPaused) {
    // Its place would be given to another, which does the same.
    if (!may_pause_) return lose("it says PAUSED and may not");
    if (state_ != State::kStarting) return;  // it leaves
    state_ = State::kPaused;
    return observer_.on_paused(*this);
  }
  serves_ = true;
  not_paused_ = std::move(hello->not_paused);
  if (state_ == State::kStarting) state_ = State::kReady;
  idle_since_ = loop_.now();
  observer_.on_ready(*this);
}

void Worker::release(Call& call) {
  std::erase(pumping_, &call);
  calls_.erase(calls_.iterator_to(call));
  call.worker_ = nullptr;
  call.pool_ = nullptr;
  free_slot(call.slot_);
}

void Worker::free_slot(std::uint16_t slot) {
  claims_.set(slot, wire::Claim::kFree);
  slots_[slot] = {};
  free_slots_.push_back(slot);
  ++ended_;
  if (in_flight() == 0) idle_since_ = loop_.now();
}

void Worker::lose(std::string_view why) {
  if (state_ == State::kLost) return;
  const std::string reason(why);
  state_ = State::kLost;
  loop_.remove(socket_.get(), *this);
  loop_.forget(*this);
  socket_.close();
  pumping_.clear();
  observer_.on_disconnected(*this, reason);
}

}  // namespace sterna::pool
