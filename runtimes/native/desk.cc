#include "native/desk.h"

#include <unistd.h>

#include <algorithm>

#include "net/http_parser.h"
#include "worker/hello.h"

namespace sterna::native {
namespace {

// Room to write is asked for only while output is left: the kernel tells of it with every read of the server.
constexpr std::uint32_t kReading = EPOLLIN | EPOLLRDHUP | EPOLLET;
// Smaller pieces of a body's window wait for more: what is left of it lets the server go on.
constexpr std::uint32_t kWindowStep = 32U << 10;
static_assert(kWindowStep <= wire::kInitialWindow / 2);
constexpr std::size_t kMaxUnsent = 1U << 20;  // more than that behind a slow server: wait for it

}  // namespace

Exchange::Exchange(Desk& desk, std::uint16_t slot, std::uint64_t call, std::string payload, wire::More more)
    : desk_(desk),
      slot_(slot),
      call_(call),
      payload_(std::move(payload)),
      in_parts_(more == wire::More::kYes),
      body_more_(more),
      started_(desk.loop().clock().now()) {
  STERNA_ASSERT(wire::read_request(payload_, request_, body_).has_value());
}

std::string_view Exchange::header(std::string_view name) const {
  wire::HeaderWalk walk(request_.headers, request_.header_count);
  std::string_view each;
  std::string_view value;
  while (walk.next(each, value)) {
    if (net::equal_ignoring_case(each, name)) return value;
  }
  return {};
}

std::optional<std::uint64_t> Exchange::announced_length() const {
  const std::string_view text = in_parts_ ? header("content-length") : std::string_view();
  return text.empty() ? std::nullopt : net::content_length(text);
}

void Exchange::add_body(std::string_view part, wire::More more) {
  later_ += part;
  body_more_ = more;
  if (body_.empty()) next_part();
}

void Exchange::next_part() {
  part_.swap(later_);
  later_.clear();
  body_ = part_;
}

void Exchange::take_body(std::size_t bytes) {
  body_.remove_prefix(bytes);
  if (body_.empty() && in_parts_) next_part();
  taken_ += static_cast<std::uint32_t>(bytes);
  const bool more_comes = in_parts_ && body_more_ == wire::More::kYes && !ended_;
  if (!more_comes || taken_ < kWindowStep) return;
  std::string& out = desk_.channel().out();
  const std::size_t frame =
      wire::open_frame(out, wire::FrameType::kRequestWindow, wire::More::kNo, slot_, call_);
  wire::append_window(out, std::exchange(taken_, 0));
  wire::close_frame(out, frame);
  desk_.loop().at_turn_end(desk_);
}

std::uint64_t Exchange::run_ns() const {
  return static_cast<std::uint64_t>((desk_.loop().clock().now() - started_).count());
}

void Exchange::respond(std::uint32_t status, std::uint32_t header_count, std::string_view block,
                       std::uint64_t content_length, std::string_view body, wire::More more) {
  STERNA_ASSERT(!answered_ && !ended_ && body.size() <= window_);
  answered_ = true;
  window_ -= body.size();
  worker::Channel& channel = desk_.channel();
  if (more == wire::More::kNo) channel.lines().end_call(channel.out(), call_);
  const std::size_t offset = wire::open_frame(channel.out(), wire::FrameType::kResponse, more, slot_, call_);
  wire::append_response(channel.out(),
                        {.status = status,
                         .run_ns = run_ns(),
                         .content_length = content_length,
                         .header_count = header_count,
                         .headers = block},
                        body);
  wire::close_frame(channel.out(), offset);
  if (more == wire::More::kNo) end();
  desk_.loop().at_turn_end(desk_);
}

void Exchange::part(std::string_view body, wire::More more) {
  STERNA_ASSERT(answered_ && !ended_ && body.size() <= window_);
  window_ -= body.size();
  worker::Channel& channel = desk_.channel();
  if (more == wire::More::kNo) channel.lines().end_call(channel.out(), call_);
  wire::append_frame(channel.out(), wire::FrameType::kResponseBody, more, slot_, call_, body);
  if (more == wire::More::kNo) end();
  desk_.loop().at_turn_end(desk_);
}

void Exchange::fail(wire::FailKind kind, std::string_view text) {
  STERNA_ASSERT(!ended_);
  desk_.channel().fail_call(slot_, call_, {.kind = kind, .run_ns = run_ns(), .text = text});
  end();
  desk_.loop().at_turn_end(desk_);
}

void Exchange::note(std::string_view text) {
  desk_.log(call_, wire::Stream::kStderr, std::string(text).append("\n"));
}

void Exchange::end() {
  ended_ = true;
  desk_.ended(call_);
}

Desk::Desk(net::Loop& loop, worker::Channel& channel, std::size_t concurrency, RunMaker& maker)
    : loop_(loop), channel_(channel), concurrency_(concurrency), maker_(maker) {}

Desk::~Desk() {
  loop_.forget(*this);
  if (!channel_.closed()) loop_.remove(channel_.fd(), *this);
  entries_.clear();
}

Status Desk::open(std::string_view runtime, bool async) {
  worker::append_ready(channel_.out(), runtime, async);
  channel_.flush();
  watched_ = kReading;
  if (const Status added = loop_.add(channel_.fd(), *this, kReading); !added) return added;
  on_event(EPOLLIN);  // what came with INIT is in the reader already
  return {};
}

std::uint64_t Desk::only_call() const {
  return entries_.size() == 1 ? entries_.begin()->first : 0;
}

void Desk::log(std::uint64_t call, wire::Stream stream, std::string_view text) {
  channel_.lines().add(channel_.out(), call, stream, text);
  loop_.at_turn_end(*this);
}

void Desk::on_event(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush();
  if ((events & ~EPOLLOUT) == 0) return;
  // A short read means that the kernel has no more; only a hang-up needs the read that tells of the end.
  const bool until_end = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  bool drained = false;
  while (take_all()) {
    if (drained) return start_queued();
    const auto filled = channel_.fill(worker::Wait::kNo);
    if (filled == worker::Channel::Filled::kEnd) return loop_.stop();
    drained = filled == worker::Channel::Filled::kNothing || (!until_end && channel_.reader().writable() > 0);
  }
}

bool Desk::take_all() {
  while (true) {
    const auto read = channel_.reader().next();
    if (!read) {
      give_up(read.error().detail);
      return false;
    }
    const std::optional<wire::Frame>& frame = *read;
    if (!frame) return true;
    if (!take(*frame)) return false;
  }
}

bool Desk::take(const wire::Frame& frame) {
  auto arrival = channel_.inbox().accept(frame);
  if (!arrival) {
    give_up(arrival.error().detail);
    return false;
  }
  using Kind = worker::Arrival::Kind;
  switch (arrival->kind) {
    case Kind::kRequest:
      queued_.push_back({arrival->slot, arrival->call, std::move(arrival->payload), arrival->more});
      break;
    case Kind::kBody:
      add_body(arrival->call, arrival->payload, arrival->more);
      break;
    case Kind::kCancel:
      cancel(arrival->slot, arrival->call);
      break;
    case Kind::kCancelUnstarted:
      channel_.fail_call(arrival->slot, arrival->call,
                         {.kind = wire::FailKind::kCancelled, .text = "cancelled"});
      loop_.at_turn_end(*this);
      break;
    case Kind::kWindow:
      widen(arrival->call, arrival->bytes);
      break;
    case Kind::kShutdown:
      shutting_down_ = true;
      loop_.at_turn_end(*this);
      break;
    case Kind::kNothing:
      break;
  }
  return true;
}

void Desk::cancel(std::uint16_t slot, std::uint64_t call) {
  const auto waiting = std::ranges::find(queued_, call, &Queued::call);
  if (waiting != queued_.end()) {
    queued_.erase(waiting);
    channel_.fail_call(slot, call, {.kind = wire::FailKind::kCancelled, .text = "cancelled"});
    return loop_.at_turn_end(*this);
  }
  const auto found = entries_.find(call);
  if (found != entries_.end()) found->second->run->cancel();
}

void Desk::widen(std::uint64_t call, std::uint32_t bytes) {
  const auto found = entries_.find(call);
  if (found == entries_.end()) return;
  Entry& entry = *found->second;
  const bool was_shut = std::exchange(entry.exchange.window_, entry.exchange.window_ + bytes) == 0;
  if (was_shut) entry.run->on_window();
}

void Desk::add_body(std::uint64_t call, std::string_view part, wire::More more) {
  if (const auto found = entries_.find(call); found != entries_.end()) {
    found->second->exchange.add_body(part, more);
    return found->second->run->on_body();
  }
  const auto waiting = std::ranges::find(queued_, call, &Queued::call);
  if (waiting == queued_.end()) return;  // it has ended before its body
  waiting->payload += part;
  waiting->more = more;
}

void Desk::start_queued() {
  while (!queued_.empty() && entries_.size() < concurrency_ && maker_.can_start()) {
    Queued next = std::move(queued_.front());
    queued_.pop_front();
    if (channel_.claim(next.slot, next.call)) {
      start(std::move(next));
    } else {
      loop_.at_turn_end(*this);  // RECALLED leaves
    }
  }
}

void Desk::start(Queued queued) {
  const std::uint64_t call = queued.call;
  Entry& entry = *entries_.emplace(call, std::make_unique<Entry>(*this, std::move(queued))).first->second;
  entry.run = maker_.start(entry.exchange);
}

// The entry stays until the turn ends: the run is mostly on the stack.
void Desk::ended(std::uint64_t call) {
  auto node = entries_.extract(call);
  ended_.push_back(std::move(node.mapped()));
  loop_.at_turn_end(*this);
}

void Desk::on_turn_end() {
  ended_.clear();
  start_queued();
  flush();
  if (shutting_down_ && entries_.empty() && queued_.empty() && !std::exchange(left_, true)) maker_.leave();
}

void Desk::flush() {
  bool left = !channel_.try_flush();
  if (left && channel_.out().size() > kMaxUnsent) {
    channel_.flush();
    left = false;
  }
  watch(left ? kReading | EPOLLOUT : kReading);
}

void Desk::watch(std::uint32_t events) {
  const bool is_open = watched_ != 0 && !channel_.closed();  // what is printed while it starts leaves before
  if (!is_open || std::exchange(watched_, events) == events) return;
  if (const Status changed = loop_.change(channel_.fd(), *this, events); !changed)
    give_up(changed.error().detail);
}

void Desk::give_up(std::string_view why) {
  const std::string text = "sterna: the connection to the server broke: " + std::string(why) + "\n";
  static_cast<void>(!::write(2, text.data(), text.size()));
  loop_.stop();
}

}  // namespace sterna::native
