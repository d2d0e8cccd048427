// For tests: a sender, its loop in the test's thread, and results waited for with a deadline.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "callback/curl_sender.h"
#include "callback/testing/scripted_server.h"

namespace sterna::callback::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline AllowList loopback_only() {
  return *AllowList::parse(std::vector<std::string>{"127.0.0.0/8"});
}

class SenderTest : public ::testing::Test {
 protected:
  void start(const SenderLimits& limits = {}, AllowList server_allow = loopback_only()) {
    sender_ = std::make_unique<CurlSender>(loop_, clock_, limits, std::move(server_allow));
  }

  static Post post_to(std::string url, std::string body = "hello") {
    Post post;
    post.url = std::move(url);
    post.webhook_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    post.body = std::move(body);
    return post;
  }

  // Starts one; its result stands in `results_` under the number that is answered.
  std::size_t begin(Post post) {
    const std::size_t number = results_.size();
    results_.emplace_back();
    sender_->post(std::move(post), [this, number](PostResult result) {
      EXPECT_FALSE(results_[number]) << "called twice";
      results_[number] = std::move(result);
      ++ended_;
    });
    return number;
  }

  bool wait_until_ended(std::size_t count) {
    const auto deadline = clock_.now() + seconds(20);
    while (ended_ < count && clock_.now() < deadline) loop_.turn(milliseconds(50));
    return ended_ >= count;
  }

  // Sends one post and waits for what comes of it.
  PostResult send(Post post) {
    if (sender_ == nullptr) start();
    const std::size_t before = ended_;
    const std::size_t number = begin(std::move(post));
    loop_.turn(milliseconds(0));  // the sender gets what was gathered when a turn ends
    EXPECT_TRUE(wait_until_ended(before + 1)) << "no result within the deadline";
    return results_[number].value_or(PostResult{.status_code = {}, .detail = "no result", .retry_after = {}});
  }

  SystemClock clock_;
  net::Loop loop_{clock_};
  std::vector<std::optional<PostResult>> results_;
  std::size_t ended_ = 0;
  std::unique_ptr<CurlSender> sender_;
};

}  // namespace sterna::callback::testing
