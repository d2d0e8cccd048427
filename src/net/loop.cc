#include "net/loop.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace sterna::net {
namespace {
constexpr std::size_t kEventsPerTurn = 256;
constexpr std::size_t kScratchBytes = 64 << 10;
constexpr Duration kForever = std::chrono::hours(1);
}  // namespace

Loop::Loop(const Clock& clock)
    : clock_(clock),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      now_(clock.now()),
      events_(kEventsPerTurn),
      scratch_(kScratchBytes) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (!epoll_ || !wake_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot make an event loop");
  }
}

Loop::~Loop() = default;

Status Loop::add(int fd, EventHandler& handler, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.ptr = &handler}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return fail_errno(Component::kGateway, "cannot watch a descriptor", errno);
}

Status Loop::change(int fd, EventHandler& handler, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.ptr = &handler}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0) return {};
  return fail_errno(Component::kGateway, "cannot watch a descriptor", errno);
}

void Loop::remove(int fd, EventHandler& handler) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  for (std::size_t i = 0; i < event_count_; ++i) {
    if (events_[i].data.ptr == &handler) events_[i].events = 0;  // already fetched in this turn: skip it
  }
  if (std::exchange(handler.again_, 0) == 0) return;
  std::ranges::replace(again_, &handler, nullptr);
  std::ranges::replace(being_told_, &handler, nullptr);
}

void Loop::tell_again(EventHandler& handler, std::uint32_t events) {
  if (std::exchange(handler.again_, handler.again_ | events) == 0) again_.push_back(&handler);
}

void Loop::post(Job job) {
  bool first = false;
  {
    const std::scoped_lock lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(job));
  }
  if (first) ::eventfd_write(wake_.get(), 1);
}

void Loop::at_turn_end(TurnEnd& entry) {
  if (std::exchange(entry.listed_, true)) return;
  list_of(entry).push_back(&entry);
}

void Loop::forget(TurnEnd& entry) {
  if (!std::exchange(entry.listed_, false)) return;
  std::ranges::replace(list_of(entry), &entry, nullptr);
}

Loop::TimerId Loop::after(Duration delay, Job job) {
  const TimerId id{clock_.now() + delay, next_timer_++};
  timers_.emplace(id, std::move(job));
  return id;
}

void Loop::run() {
  while (!stopping_.load(std::memory_order_relaxed)) turn(kForever);
}

void Loop::stop() {
  stopping_ = true;
  ::eventfd_write(wake_.get(), 1);
}

int Loop::wait_ms(Duration limit) const {
  if (!again_.empty()) return 0;
  if (!timers_.empty()) limit = std::min(limit, timers_.begin()->first.first - clock_.now());
  if (limit <= Duration::zero()) return 0;
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(limit).count());
}

void Loop::turn(Duration limit) {
  int count = ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), wait_ms(limit));
  // The process was stopped for a while: what has come by now goes before the timers that have run out.
  if (count < 0) count = ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), 0);
  now_ = clock_.now();
  event_count_ = count > 0 ? static_cast<std::size_t>(count) : 0;
  if (!again_.empty()) run_again();
  bool woken = false;
  for (std::size_t i = 0; i < event_count_; ++i) {
    if (events_[i].events == 0) continue;
    if (auto* handler = static_cast<EventHandler*>(events_[i].data.ptr)) {
      handler->on_event(events_[i].events);
    } else {
      woken = true;
    }
  }
  event_count_ = 0;
  if (woken) run_jobs();
  run_timers();
  end_turn();
}

// Who asks once more while it is told comes in the turn after this.
void Loop::run_again() {
  being_told_.swap(again_);
  for (std::size_t i = 0; i < being_told_.size(); ++i) {
    EventHandler* const handler = being_told_[i];
    if (handler != nullptr) handler->on_event(std::exchange(handler->again_, 0));
  }
  being_told_.clear();
}

void Loop::run_jobs() {
  eventfd_t ignored = 0;
  ::eventfd_read(wake_.get(), &ignored);
  std::vector<Job> jobs;
  {
    const std::scoped_lock lock(mutex_);
    jobs.swap(posted_);
  }
  for (Job& job : jobs) job();
}

void Loop::run_timers() {
  while (!timers_.empty() && timers_.begin()->first.first <= now_) {
    auto due = timers_.extract(timers_.begin());
    due.mapped()();
  }
}

std::vector<TurnEnd*>& Loop::list_of(const TurnEnd& entry) {
  return entry.when_ == TurnEnd::When::kEarly ? early_ : late_;
}

// Entries may list themselves or others again while they run: the lists are walked until both are empty.
void Loop::end_turn() {
  while (!early_.empty() || !late_.empty()) {
    for (std::vector<TurnEnd*>* const list : {&early_, &late_}) {
      for (std::size_t i = 0; i < list->size(); ++i) {
        TurnEnd* const entry = (*list)[i];
        if (entry == nullptr) continue;
        entry->listed_ = false;
        entry->on_turn_end();
      }
      list->clear();
    }
  }
  garbage_.clear();
}

}  // namespace sterna::net
