#include "callback/curl_driver.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace sterna::callback {
namespace {

constexpr std::size_t kEventsPerTurn = 64;

std::uint32_t epoll_events(int curl_poll) {
  std::uint32_t events = 0;
  if ((curl_poll & CURL_POLL_IN) != 0) events |= EPOLLIN;
  if ((curl_poll & CURL_POLL_OUT) != 0) events |= EPOLLOUT;
  return events;
}

int curl_events(std::uint32_t events) {
  int result = 0;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP)) != 0) result |= CURL_CSELECT_IN;
  if ((events & EPOLLOUT) != 0) result |= CURL_CSELECT_OUT;
  if ((events & EPOLLERR) != 0) result |= CURL_CSELECT_ERR;
  return result;
}

}  // namespace

CurlDriver::CurlDriver(std::size_t max_idle_connections)
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      multi_(curl_multi_init()) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = wake_.get()}};
  if (!epoll_ || !wake_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot make the callback sender's loop");
  }
  STERNA_ASSERT(multi_ != nullptr);
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &CurlDriver::on_socket);
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &CurlDriver::on_timer);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(max_idle_connections));
}

void CurlDriver::add(CURL* handle) {
  STERNA_ASSERT(curl_multi_add_handle(multi_.get(), handle) == CURLM_OK);
}

void CurlDriver::remove(CURL* handle) {
  STERNA_ASSERT(curl_multi_remove_handle(multi_.get(), handle) == CURLM_OK);
}

void CurlDriver::wake() {
  ::eventfd_write(wake_.get(), 1);
}

void CurlDriver::turn(Duration limit) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms(limit));
  int running = 0;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.fd == wake_.get()) {
      eventfd_t ignored = 0;
      ::eventfd_read(wake_.get(), &ignored);
    } else {
      curl_multi_socket_action(multi_.get(), event.data.fd, curl_events(event.events), &running);
    }
  }
  run_timer();
}

void CurlDriver::run_timer() {
  if (!timer_ || *timer_ > std::chrono::steady_clock::now()) return;
  timer_.reset();
  int running = 0;
  curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
}

std::optional<CurlDone> CurlDriver::next_done() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg == CURLMSG_DONE) return CurlDone{message->easy_handle, message->data.result};
  }
  return std::nullopt;
}

int CurlDriver::wait_ms(Duration limit) const {
  if (timer_) limit = std::min<Duration>(limit, *timer_ - std::chrono::steady_clock::now());
  if (limit <= Duration::zero()) return 0;
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(limit).count());
}

// `known` is what curl_multi_assign left for this socket: null until it is watched.
int CurlDriver::on_socket(CURL*, curl_socket_t socket, int what, void* self, void* known) {
  auto* driver = static_cast<CurlDriver*>(self);
  if (what == CURL_POLL_REMOVE) {
    ::epoll_ctl(driver->epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);  // may be closed already
    return 0;
  }
  epoll_event event{.events = epoll_events(what), .data = {.fd = socket}};
  ::epoll_ctl(driver->epoll_.get(), known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
  if (known == nullptr) curl_multi_assign(driver->multi_.get(), socket, driver);
  return 0;
}

int CurlDriver::on_timer(CURLM*, long timeout_ms, void* self) {
  auto* driver = static_cast<CurlDriver*>(self);
  if (timeout_ms < 0) {
    driver->timer_.reset();
  } else {
    driver->timer_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  }
  return 0;
}

}  // namespace sterna::callback
