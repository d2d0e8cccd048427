// How long, how much and how many: every bound of the sender.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace sterna::callback {

struct SenderLimits {
  Duration connect_timeout = std::chrono::seconds(5);
  Duration total_timeout = std::chrono::seconds(30);  // of one post with its redirects
  // A body of n bytes adds n divided by this to the total: large ones need time, receivers that take them
  // slower do not get it.
  std::uint64_t slowest_upload_bytes_per_second = 64 << 10;
  // After the head of an answer for the rest of it, so that the connection can be used again.
  Duration answer_body_wait = std::chrono::milliseconds(200);
  Duration longest_retry_after = std::chrono::hours(24);

  unsigned max_redirects = 3;
  std::size_t max_answer_head_bytes = 64 << 10;  // more is no answer
  std::size_t max_answer_body_bytes = 64 << 10;  // thrown away; more ends the connection

  // In hand: under way or waiting for their target. Who posts keeps no more open at a time.
  std::size_t max_posts = 256;
  std::size_t max_transfers_per_target = 32;  // under way at once to one scheme, host and port
  std::size_t max_targets = 4096;             // remembered; at least max_posts
  std::size_t max_idle_connections = 256;

  unsigned failures_before_rest = 5;  // without any answer in between
  Duration first_rest = std::chrono::seconds(1);
  Duration longest_rest = std::chrono::seconds(30);

  std::string ca_file;  // PEM; empty: the system's store
  std::vector<std::string>
      resolved;  // "host:port:address[,address]": names that are not asked for, as curl --resolve
};

}  // namespace sterna::callback
