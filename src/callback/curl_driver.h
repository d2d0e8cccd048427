// Drives a curl multi handle with epoll: what happens costs time, not how many transfers wait.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace sterna::callback {

struct CurlDone {
  CURL* handle = nullptr;
  CURLcode code = CURLE_OK;
};

// One thread, except `wake`.
class CurlDriver {
 public:
  // `max_idle_connections` are kept for the next requests. Throws std::system_error when the kernel gives no
  // epoll or eventfd.
  explicit CurlDriver(std::size_t max_idle_connections);
  CurlDriver(const CurlDriver&) = delete;
  CurlDriver& operator=(const CurlDriver&) = delete;

  // The handle is the caller's and must be removed before it ends.
  void add(CURL* handle);
  void remove(CURL* handle);

  // Waits until something happens, `wake` is called, or `limit` is over, and lets curl work.
  void turn(Duration limit);
  // Ends a `turn` that waits, or the next one. Any thread.
  void wake();
  // A transfer that is over since; remove its handle.
  std::optional<CurlDone> next_done();

 private:
  struct FreeMulti {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };
  static int on_socket(CURL* handle, curl_socket_t socket, int what, void* self, void* known);
  static int on_timer(CURLM* multi, long timeout_ms, void* self);
  int wait_ms(Duration limit) const;
  void run_timer();

  UniqueFd epoll_;
  UniqueFd wake_;
  std::optional<std::chrono::steady_clock::time_point> timer_;  // when curl wants to be called
  std::unique_ptr<CURLM, FreeMulti> multi_;                     // last: its end still calls on_socket
};

}  // namespace sterna::callback
