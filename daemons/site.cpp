#include "site.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "api.hpp"

namespace ringway::daemon {
namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kMetrics = "text/plain; version=0.0.4; charset=utf-8";

// Whatever a faulty process has written into a topic must not keep the others from being shown.
std::string dump(const tool::Json& json) {
  return json.dump(-1, ' ', false, tool::Json::error_handler_t::replace) + '\n';
}

// Not copied: httplib would, once for each who asks.
void answer(httplib::Response& response, std::shared_ptr<const std::string> text, const char* type) {
  const std::size_t size = text->size();
  response.set_content_provider(size, type,
                                [text = std::move(text)](std::size_t offset, std::size_t length, auto& sink) {
                                  return sink.write(text->data() + offset, length);
                                });
}

// Also ends the connection: a body that was not read may follow.
void refuse(httplib::Response& response, int status, const std::string& why) {
  response.status = status;
  response.set_header("Connection", "close");
  answer(response, std::make_shared<const std::string>(dump({{"error", why}})), kJson);
}

std::string host_of(const std::string& header) {
  if (header.starts_with('[')) return header.substr(1, std::max<std::size_t>(header.find(']'), 1) - 1);
  return header.substr(0, header.find(':'));
}

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  return ::inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

// In a time that tells nothing of where they differ.
bool same(std::string_view mine, std::string_view given) {
  unsigned difference = mine.size() == given.size() ? 0 : 1;
  for (std::size_t i = 0; i < mine.size(); ++i)
    difference |= static_cast<unsigned char>(mine[i]) ^ static_cast<unsigned char>(i < given.size() ? given[i] : '\0');
  return difference == 0;
}

bool is_public(const std::string& path) {  // the page itself says nothing
  return std::ranges::any_of(assets(), [&path](const Asset& asset) { return path == asset.path; });
}

}  // namespace

Site::Site(HttpServer& server, const Monitor& monitor, const Metrics& metrics) : monitor_(monitor) {
  server.set_default_headers(
      {{"Cache-Control", "no-store"},
       {"Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
       {"Cross-Origin-Resource-Policy", "same-origin"},
       {"Referrer-Policy", "no-referrer"},
       {"X-Content-Type-Options", "nosniff"}});
  server.set_pre_routing_handler([this](const auto& request, auto& response) { return admit(request, response); });
  server.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (response.content_length_ == 0 && response.body.empty() && response.status == 404)
      refuse(response, 404, "there is no " + request.path + "; see docs/monitor.md, or start at /");
  });
  server.set_exception_handler(
      [](const httplib::Request&, httplib::Response& response, const std::exception_ptr& failure) {
        try {
          std::rethrow_exception(failure);
        } catch (const std::exception& error) {
          refuse(response, 500, error.what());
        }
      });
  for (const Asset& asset : assets()) {
    server.Get(asset.path, [&asset](const httplib::Request&, httplib::Response& response) {
      response.set_content_provider(asset.bytes.size(), asset.type,
                                    [&asset](std::size_t offset, std::size_t length, auto& sink) {
                                      return sink.write(asset.bytes.data() + offset, length);
                                    });
    });
  }
  add(server, "/metrics", kMetrics, [&metrics](const Seen& seen) { return metrics.text(seen); });
  add(server, "/api/v1/summary", kJson, [](const Seen& seen) { return dump(summary_json(seen, nullptr)); });
  add(server, "/api/v1/recent", kJson, [this](const Seen& seen) { return dump(summary_json(seen, &monitor_)); });
  add(server, "/api/v1/buses", kJson, [](const Seen& seen) { return dump(buses_json(seen)); });
  add(server, "/api/v1/topics", kJson, [](const Seen& seen) { return dump(topics_json(seen)); });
  add(server, "/api/v1/findings", kJson, [](const Seen& seen) { return dump(findings_json(seen)); });
  server.Get("/api/v1/topic", [this](const auto& request, auto& response) { topic(request, response); });
}

void Site::set_access(Access access) {
  const std::lock_guard lock(access_mutex_);
  access_ = std::move(access);
}

Site::Handler Site::admit(const httplib::Request& request, httplib::Response& response) const {
  const auto refused = [&response](int status, const std::string& why) {
    refuse(response, status, why);
    return Handler::Handled;
  };
  if (request.method != "GET" && request.method != "HEAD") {
    response.set_header("Allow", "GET, HEAD");
    return refused(405, request.method + " is not for here: this only looks");
  }
  if (request.has_header("Transfer-Encoding") ||
      request.get_header_value("Content-Length", 0).find_first_not_of('0') != std::string::npos)
    return refused(413, "a request here has no body");
  Access access;
  {
    const std::lock_guard lock(access_mutex_);
    access = access_;
  }
  const std::string header = request.get_header_value("Host");
  const std::string host = host_of(header);
  if (!is_address(host) && host != "localhost" && std::ranges::find(access.hosts, host) == access.hosts.end())
    return refused(421, "this is not `" + header +
                            "`, as far as it knows; if it is, add the name to `hosts` in its configuration");
  if (!access.token.empty() && !is_public(request.path) &&
      !same("Bearer " + access.token, request.get_header_value("Authorization"))) {
    response.set_header("WWW-Authenticate", "Bearer");
    return refused(401, "this needs `Authorization: Bearer TOKEN`, with the token of its token_file");
  }
  return Handler::Unhandled;
}

void Site::add(HttpServer& server, const std::string& path, const char* type, Render render) {
  server.Get(path, [this, path, type, render = std::move(render)](const auto&, httplib::Response& response) {
    answer(response, rendered(path, render), type);
  });
}

std::shared_ptr<const std::string> Site::rendered(const std::string& path, const Render& render) {
  const std::lock_guard lock(rendered_mutex_);  // others who ask for it meanwhile get the same
  const auto seen = monitor_.seen();
  Rendered& last = rendered_[path];
  if (last.look != seen->number || last.text == nullptr)
    last = {seen->number, std::make_shared<const std::string>(render(*seen))};
  return last.text;
}

void Site::topic(const httplib::Request& request, httplib::Response& response) const {
  const auto seen = monitor_.seen();
  const std::string name = request.get_param_value("name");
  std::string bus = request.get_param_value("bus");
  if (bus.empty() && seen->buses.size() == 1) bus = seen->buses.front().name;
  const auto found = topic_json(*seen, monitor_, bus, name);
  if (!found)
    return refuse(response, 404, "there is no topic `" + name + "` on bus `" + bus + "`; /api/v1/summary lists them");
  answer(response, std::make_shared<const std::string>(dump(*found)), kJson);
}

}  // namespace ringway::daemon
